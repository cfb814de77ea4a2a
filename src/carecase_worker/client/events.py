"""Parsing of a job's server-sent events from pieces of a response. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import msgspec

from carecase_worker.client.documents import Job

EventName = Literal["progress", "outcomes", "final"]
_USUAL_DELAY = timedelta(seconds=2)


class OutcomeRun(msgspec.Struct, frozen=True):
    """Neighbouring items with the same outcome: the index of the first one in the batch, from 0, and their number.

    In a dry run, `changes` has the fields that an update would change.
    """

    index: int
    count: int
    status: int
    body: str
    changes: tuple[str, ...] | None = None


class _Outcomes(msgspec.Struct):
    runs: tuple[OutcomeRun, ...]


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job: the job with `progress` and `final`, runs of outcomes with `outcomes`."""

    name: EventName
    job: Job | None = None
    runs: tuple[OutcomeRun, ...] = ()


_job, _outcomes = msgspec.json.Decoder(Job), msgspec.json.Decoder(_Outcomes)


@dataclass(slots=True)
class EventReader:
    """An incremental reader of a stream that may be interrupted and resumed; it calls `on_event` with each event.

    `last_id` is the id to resume after, `again` the delay before that, and `final` the job once it is final. Unknown
    fields and events are ignored; `broken` is set if the data of a known event is malformed.
    """

    on_event: Callable[[JobEvent], None]
    last_id: str = ""
    again: timedelta = _USUAL_DELAY
    final: Job | None = None
    broken: bool = False
    _rest: bytes = b""
    _name: str = ""
    _data: list[str] = field(default_factory=list)
    _id: str = ""

    def resume(self) -> None:
        """Drop an incomplete event."""
        self._rest, self._name, self._data, self._id = b"", "", [], self.last_id

    def feed(self, piece: bytes) -> None:
        """Read a piece."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))

    def _line(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "" if not line:
                self._dispatch()
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.again = timedelta(milliseconds=int(value[:9]))
            case _:
                pass

    def _dispatch(self) -> None:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data, self.last_id = "", [], self._id
        try:
            event = _event(name, data)
        except ValueError:
            self.broken = True
            return
        if event is not None:
            self.final = event.job if event.name == "final" else None
            self.on_event(event)


def _event(name: str, data: str) -> JobEvent | None:
    """Parse an event; None for an unknown one. Raises ValueError."""
    match name:
        case "progress" | "final":
            return JobEvent(name, _job.decode(data))
        case "outcomes":
            return JobEvent(name, runs=_outcomes.decode(data).runs)
        case _:
            return None
