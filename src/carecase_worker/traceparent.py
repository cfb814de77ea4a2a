"""The place of a request in a trace: the header `traceparent` of W3C Trace Context. Pure."""

import re
from dataclasses import dataclass

_HEADER = re.compile(
    "(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    "-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_SAMPLED = 1
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A span of a trace, by its ids in hex, and whether the trace is sampled."""

    trace_id: str
    span_id: str
    sampled: bool

    @classmethod
    def of(cls, header: str) -> "TraceParent | None":
        """Parse a header; None if it is invalid, in which case it must be ignored.

        Only the fields of version 00 are read of a later version, as the recommendation requires.
        """
        found = _HEADER.fullmatch(header) if len(header) <= _LONGEST else None
        if found is None or found["version"] == "ff" or (found["version"] == "00" and found["rest"]):
            return None
        return cls(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))

    def __str__(self) -> str:
        """Return the header, of version 00: 55 characters."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"
