"""Semaphores of requests: a number of places per client, and in total."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

from carecase_worker.errors import BacklogFull, RateExceeded
from carecase_worker.telemetry import MetricSample


@dataclass(slots=True)
class Places:
    """Places of one kind; a subclass defines the texts of refusals and the metrics."""

    most: int
    most_per_client: int
    refused: Counter[str] = field(default_factory=Counter)
    _of: Counter[str] = field(default_factory=Counter)

    OF_CLIENT: ClassVar[str]
    OF_ALL: ClassVar[str]
    LATER: ClassVar[timedelta]
    TAKEN: ClassVar[MetricSample]
    REFUSED: ClassVar[MetricSample]

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Take a place until the block ends.

        Raises RateExceeded if the client has too many, BacklogFull if all clients together have.
        """
        if self._of[client] >= self.most_per_client:
            self.refused["client"] += 1
            raise RateExceeded(self.LATER, self.OF_CLIENT)
        if self._of.total() >= self.most:
            self.refused["all"] += 1
            raise BacklogFull(self.OF_ALL)
        self._of[client] += 1
        try:
            yield
        finally:
            self._of[client] -= 1

    def __call__(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        for client, count in list(self._of.items()):  # read in another thread
            yield replace(self.TAKEN, value=count, labels={"client": client})
        for bound in ("client", "all"):
            yield replace(self.REFUSED, value=self.refused[bound], labels={"bound": bound})
