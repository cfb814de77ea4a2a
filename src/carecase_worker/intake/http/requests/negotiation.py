"""Content negotiation: type and encoding of the response, by q-values (RFC 9110)."""

from collections.abc import Iterator
from functools import lru_cache

from fastapi import Request

from carecase_worker.errors import BatchFault, BatchRefused

JSON_TYPES = ("application/json", "text/json", "text/plain")
"""Media types of the same JSON, the preferred one first."""

CSV_TYPE = "text/csv; charset=utf-8; header=present"
"""Content-Type of a result as CSV."""

_CSV = "text/csv"
_CSV_PATHS = ("cases-batch", "/result")
"""Suffixes of the paths whose responses may be results."""
EVENT_STREAM = "text/event-stream"
"""Media type of server-sent events."""

ENCODINGS = ("zstd", "gzip")
"""Encodings of responses and requests, the preferred one first."""

_LONGEST_HEADER = 1000
"""Maximum characters of a list that are parsed, since that happens before authentication; real lists are shorter."""


def json_type(accept: str | None) -> str | None:
    """Return the supported type that a client prefers; None if it accepts none."""
    return _json_type((accept or "")[:_LONGEST_HEADER])


def json_type_of(request: Request) -> str:
    """Return the type of the response to a request; the default one if the client accepts no supported type."""
    return json_type(request.headers.get("accept")) or JSON_TYPES[0]


def prefers_csv(accept: str | None) -> bool:
    """Return whether a client prefers a result as CSV: it names that type, and no JSON with a higher quality."""
    wanted = list(_weighed(accept or ""))
    csv = max((quality for name, quality in wanted if name == _CSV), default=0.0)
    return csv > 0 and csv >= max(_quality_of_type(kind, wanted) for kind in JSON_TYPES)


def encoding(accept_encoding: str | None) -> str | None:
    """Return the supported encoding that a client prefers; None if it accepts none."""
    wanted = dict(_weighed(accept_encoding or ""))
    anything = wanted.get("*", 0.0)
    return _best(ENCODINGS, {name: wanted.get(name, anything) for name in ENCODINGS})


def names_version(if_none_match: str | None, tag: str) -> bool:
    """Return whether If-None-Match has this tag, by weak comparison (RFC 9110)."""
    tags = [part.strip().removeprefix("W/") for part in (if_none_match or "")[:_LONGEST_HEADER].split(",")]
    return tag in tags or "*" in tags


def require_acceptable(request: Request) -> None:
    """Raise BatchRefused, before anything else is done, for a client that accepts none of the route's types."""
    accept, route = request.headers.get("accept"), request.scope.get("route")
    if getattr(getattr(route, "response_class", None), "media_type", None) == EVENT_STREAM:
        wanted = list(_weighed(accept or "")) or [("*/*", 1.0)]
        if _quality_of_type(EVENT_STREAM, wanted) == 0:
            raise BatchRefused(BatchFault.NOT_ACCEPTABLE, f"The response is a stream of events. Accept {EVENT_STREAM}.")
    elif json_type(accept) is None and not (request.scope["route"].path.endswith(_CSV_PATHS) and prefers_csv(accept)):
        raise BatchRefused(
            BatchFault.NOT_ACCEPTABLE, "Responses are JSON. Accept application/json, text/json or text/plain."
        )


@lru_cache(256)  # a program sends the same one with each request
def _json_type(accept: str) -> str | None:
    wanted = list(_weighed(accept)) or [("*/*", 1.0)]
    return _best(JSON_TYPES, {kind: _quality_of_type(kind, wanted) for kind in JSON_TYPES})


def _best(ours: tuple[str, ...], quality: dict[str, float]) -> str | None:
    best = max(ours, key=lambda name: quality[name])  # the first one of equals
    return best if quality[best] > 0 else None


def _quality_of_type(kind: str, wanted: list[tuple[str, float]]) -> float:
    """Return the quality of a type by the most specific range that matches it."""
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
