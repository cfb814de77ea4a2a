"""Bounds of the requests of known callers in progress: of all clients, and of each one."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from carecase_worker.errors import BacklogFull, RateExceeded
from carecase_worker.settings.model import IntakeSettings
from carecase_worker.telemetry import MetricSample

_LATER = timedelta(seconds=1)
_IN_PROGRESS = "Requests of a client that are being answered, held answers among them"
_REFUSED = "Requests that were refused because too many were being answered: of the client, or of all"


@dataclass(slots=True)
class InProgress:
    """The requests in progress; held responses, incoming bodies and slowly read results take a place each."""

    most: int
    most_per_client: int
    refused: Counter[str] = field(default_factory=Counter)
    _of: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, settings: IntakeSettings) -> "InProgress":
        """Make the bounds that are configured."""
        return cls(settings.max_requests, settings.max_requests_per_client)

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Take a place until the response is sent.

        Raises RateExceeded if the client has too many, BacklogFull if all clients together have.
        """
        if self._of[client] >= self.most_per_client:
            self.refused["client"] += 1
            raise RateExceeded(_LATER, "This client has too many requests at once. Let some of them end first.")
        if self._of.total() >= self.most:
            self.refused["all"] += 1
            raise BacklogFull("Too many requests are being answered just now. Send the request again later.")
        self._of[client] += 1
        try:
            yield
        finally:
            self._of[client] -= 1

    def __call__(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        for client, count in list(self._of.items()):  # read in another thread
            yield MetricSample("carecase_requests_in_progress", _IN_PROGRESS, count, {"client": client})
        for bound in ("client", "all"):
            yield MetricSample(
                "carecase_requests_refused", _REFUSED, self.refused[bound], {"bound": bound}, counter=True
            )
