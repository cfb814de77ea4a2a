"""Ids of events: the place in a stream from which a client that connects anew goes on. Pure.

In the stream of a job an id names the chunks whose outcomes were sent, as `0-11,13`, or `end`; in that of a client's
jobs it names the job that ended last, after the moment of its end by Redis's clock, in microseconds.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from carecase_worker.clock import epoch_us, from_epoch_us
from carecase_worker.errors import BatchFault, BatchRefused

END = "end"
"""The id of the last event of a job."""

NOTHING = "none"
"""The id before any outcome was sent."""

_RANGES = re.compile(r"\d{1,7}(?:-\d{1,7})?(?:,\d{1,7}(?:-\d{1,7})?)*+")
_END_OF_JOB = re.compile(r"\d{1,16}-(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?")
_UNKNOWN = "Last-Event-ID is not an id of this stream. Send the last one as it came, or none to begin anew."


def cursor_of(chunks: Collection[int]) -> str:
    """Return the id that names some chunks: their numbers as ranges."""
    return ",".join(_ranges(sorted(chunks))) or NOTHING


def chunks_of(cursor: str, chunks: int) -> set[int]:
    """Return the chunks that an id names, of a job with so many. Raises BatchRefused."""
    if cursor == NOTHING:
        return set()
    named: set[int] = set()
    end = -1
    for part in cursor.split(",") if _RANGES.fullmatch(cursor) else [""]:
        first, _, last = part.partition("-")
        if not first or not end < int(first) <= int(last or first) < chunks:
            raise BatchRefused(BatchFault.BAD_HEADER, _UNKNOWN)
        end = int(last or first)
        named.update(range(int(first), end + 1))
    return named


@dataclass(frozen=True, slots=True)
class LastEnd:
    """The end of a job that was sent last, or the moment from which on ends are sent.

    Its id begins with the moment, so that what ended at the same moment can be sent again, rather than be lost.
    """

    moment: datetime
    job_id: str = ""

    @classmethod
    def of(cls, cursor: str) -> "LastEnd":
        """Return the end that an id names. Raises BatchRefused."""
        if not _END_OF_JOB.fullmatch(cursor):
            raise BatchRefused(BatchFault.BAD_HEADER, _UNKNOWN)
        moment_us, _, job_id = cursor.partition("-")
        return cls(from_epoch_us(int(moment_us)), job_id)

    def __str__(self) -> str:
        """Return its id."""
        return f"{epoch_us(self.moment)}-{self.job_id}"


def _ranges(numbers: list[int]) -> Iterator[str]:
    start = 0
    for place, number in enumerate(numbers):
        if place + 1 == len(numbers) or numbers[place + 1] != number + 1:
            yield str(number) if place == start else f"{numbers[start]}-{number}"
            start = place + 1
