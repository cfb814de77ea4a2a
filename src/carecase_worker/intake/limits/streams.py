"""Bounds of the streams of events that are open: of all clients, and of each one."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from carecase_worker.errors import BacklogFull, RateExceeded
from carecase_worker.settings.model import IntakeSettings
from carecase_worker.telemetry import MetricSample

_LATER = timedelta(seconds=5)
_OPEN = "Streams of events that a client listens to"
_REFUSED = "Streams of events that were refused because too many were open: of the client, or of all"


@dataclass(slots=True)
class Streams:
    """The open streams of a process; each also takes a place among the requests in progress."""

    most: int
    most_per_client: int
    refused: Counter[str] = field(default_factory=Counter)
    _of: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, settings: IntakeSettings) -> "Streams":
        """Make the bounds that are configured."""
        return cls(settings.max_event_streams, settings.max_event_streams_per_client)

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Take a place until the stream ends.

        Raises RateExceeded if the client has too many, BacklogFull if all clients together have.
        """
        if self._of[client] >= self.most_per_client:
            self.refused["client"] += 1
            raise RateExceeded(_LATER, "This client listens to too many streams of events. Close some of them first.")
        if self._of.total() >= self.most:
            self.refused["all"] += 1
            raise BacklogFull("Too many streams of events are open just now. Poll the job, or connect again later.")
        self._of[client] += 1
        try:
            yield
        finally:
            self._of[client] -= 1

    def __call__(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        for client, count in list(self._of.items()):  # read in another thread
            yield MetricSample("carecase_event_streams", _OPEN, count, {"client": client})
        for bound in ("client", "all"):
            yield MetricSample(
                "carecase_event_streams_refused", _REFUSED, self.refused[bound], {"bound": bound}, counter=True
            )
