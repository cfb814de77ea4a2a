"""Bodies of one text, again and again."""

SIZE = 3 << 20
LARGE = 12 << 20


def repeated(text: bytes, size: int = SIZE) -> bytes:
    return text * (size // len(text))
