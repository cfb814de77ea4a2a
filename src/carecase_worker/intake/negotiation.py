"""What a client accepts: the type of the answer and its encoding, by q-values (RFC 9110)."""

from collections.abc import Iterator

from fastapi import Request

from carecase_worker.errors import BatchFault, BatchRefused

JSON_TYPES = ("application/json", "text/json", "text/plain")
"""The types that we send the same JSON as, the better one first."""

ENCODINGS = ("zstd", "gzip")
"""The encodings that we send and take, the better one first."""

_LONGEST_HEADER = 1000
"""Characters of a list that are looked at: what is longer is nobody's, and it is read before anybody is known."""


def json_type(accept: str | None) -> str | None:
    """The one of our types that a client likes best; None if it takes none of them."""
    wanted = list(_weighed(accept or "")) or [("*/*", 1.0)]
    return _best(JSON_TYPES, {kind: _quality_of_type(kind, wanted) for kind in JSON_TYPES})


def json_type_of(request: Request) -> str:
    """The type to answer a request with; the usual one, if it takes none of ours."""
    return json_type(request.headers.get("accept")) or JSON_TYPES[0]


def encoding(accept_encoding: str | None) -> str | None:
    """The one of our encodings that a client likes best; None if it names none of them."""
    wanted = dict(_weighed(accept_encoding or ""))
    anything = wanted.get("*", 0.0)
    return _best(ENCODINGS, {name: wanted.get(name, anything) for name in ENCODINGS})


def names_version(if_none_match: str | None, tag: str) -> bool:
    """Tell if the header If-None-Match has this version; RFC 9110 compares weakly here."""
    held = [part.strip().removeprefix("W/") for part in (if_none_match or "")[:_LONGEST_HEADER].split(",")]
    return tag in held or "*" in held


def require_json(request: Request) -> None:
    """Refuse who takes no JSON before anything is done. Raises BatchRefused."""
    if json_type(request.headers.get("accept")) is None:
        raise BatchRefused(
            BatchFault.NOT_ACCEPTABLE, "Answers are JSON. Accept application/json, text/json or text/plain."
        )


def _best(ours: tuple[str, ...], quality: dict[str, float]) -> str | None:
    best = max(ours, key=lambda name: quality[name])  # the first one of equals
    return best if quality[best] > 0 else None


def _quality_of_type(kind: str, wanted: list[tuple[str, float]]) -> float:
    """What the most specific range that a type is in says of it."""
    for media_range in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in wanted if name == media_range]
        if found:
            return max(found)
    return 0.0


def _weighed(header: str) -> Iterator[tuple[str, float]]:
    for element in header[:_LONGEST_HEADER].split(","):
        name, *parameters = (part.strip().lower() for part in element.split(";"))
        if not name:
            continue
        yield name, next((_number(text[2:]) for text in parameters if text.startswith("q=")), 1.0)


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
