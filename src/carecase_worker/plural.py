"""Numbers with their nouns, in the singular or plural."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural must end with an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
