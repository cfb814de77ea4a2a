"""Event ids: cursors from which a client that reconnects resumes a stream. Pure.

In the stream of a job, an id lists the chunks whose outcomes were sent, as `0-11,13`, or is `end`. In the stream of a
client's jobs, it has the time of the last completion (Redis's clock, microseconds) and the jobs completed last.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from carecase_worker.clock import epoch_us, from_epoch_us
from carecase_worker.errors import BatchFault, BatchRefused

END = "end"
"""The id of the last event of a job."""

NOTHING = "none"
"""The id before any outcome was sent."""

_RANGES = re.compile(r"\d{1,7}(?:-\d{1,7})?(?:,\d{1,7}(?:-\d{1,7})?)*")
_LOOK_BACK, _MOST_NAMED = timedelta(seconds=5), 20
_JOB = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ENDS_OF_JOBS = re.compile(rf"(\d{{1,16}})-((?:{_JOB}(?:,{_JOB}){{0,{_MOST_NAMED - 1}}})?)(?:@(\d{{1,16}}))?")
_UNKNOWN = "Last-Event-ID is not an id of this stream. Send the last id unchanged, or none to start again."


def cursor_of(chunks: Collection[int]) -> str:
    """Return the id for some chunks: their numbers as ranges."""
    return ",".join(_ranges(sorted(chunks))) or NOTHING


def chunks_of(cursor: str, chunks: int) -> set[int]:
    """Parse the chunks of an id, for a job with `chunks` chunks. Raises BatchRefused."""
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
class LastEnds:
    """The completions of jobs sent last: the newest time and the jobs; or the time from which on completions are sent.

    Completions arrive in roughly chronological order, since they are read one after the other. So a resumed stream
    looks back a little and skips the listed jobs; never to before `since`, the start of the first stream.
    """

    moment: datetime
    job_ids: tuple[str, ...] = ()
    since: datetime | None = None

    @classmethod
    def of(cls, cursor: str) -> "LastEnds":
        """Parse an id. Raises BatchRefused."""
        named = _ENDS_OF_JOBS.fullmatch(cursor)
        if not named:
            raise BatchRefused(BatchFault.BAD_HEADER, _UNKNOWN)
        moment_us, job_ids, since_us = named.groups()
        since = from_epoch_us(int(since_us)) if since_us else None
        return cls(from_epoch_us(int(moment_us)), tuple(job_ids.split(",")) if job_ids else (), since)

    @classmethod
    def from_now_on(cls, now: datetime) -> "LastEnds":
        """Return the start of a new stream."""
        return cls(now, since=now)

    def __str__(self) -> str:
        """Return the id."""
        since = f"@{epoch_us(self.since)}" if self.since and self.since > self.moment - _LOOK_BACK else ""
        return f"{epoch_us(self.moment)}-{','.join(self.job_ids)}{since}"

    @property
    def look_from(self) -> datetime:
        """The time from which on completions may not have been sent."""
        return max(self.moment - _LOOK_BACK, self.since or self.moment - _LOOK_BACK)

    def with_end(self, moment: datetime, job_id: str) -> "LastEnds":
        """Return the last completions after one more was sent."""
        return replace(self, moment=max(self.moment, moment), job_ids=(*self.job_ids, job_id)[-_MOST_NAMED:])


def _ranges(numbers: list[int]) -> Iterator[str]:
    start = 0
    for place, number in enumerate(numbers):
        if place + 1 == len(numbers) or numbers[place + 1] != number + 1:
            yield str(number) if place == start else f"{numbers[start]}-{number}"
            start = place + 1
