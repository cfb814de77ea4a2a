"""Health of a worker's main process: signs of life of its consumer, and the verdict on them. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

READY_WITHIN_S = 15.0
"""Seconds within which broker and job store have answered a worker that is ready: more than the longest chunk takes."""

_SILENT_STORE_FACTOR = 4
"""If the job store is silent, too, a restart helps less likely, and waits four times as long."""


class Health(Enum):
    """Verdict on a worker's main process. Only STUCK is a fault of its own."""

    STARTING = "starting: the broker has not answered yet"
    WELL = "well"
    CUT_OFF = "the broker cannot be reached; it is tried again and again"
    STUCK = "the consumer hears nothing from a broker that takes connections; the worker restarts itself"


@dataclass(slots=True)
class Signs:
    """Signs of life of a worker, in seconds of the monotonic clock: 0 if there was none yet.

    The main loop and the sweep write them, and other threads read them; each is one assignment.
    """

    heard: float = 0.0
    """When the broker last answered the consumer, or brought it a message."""
    reached: float = 0.0
    """When the job store last answered the sweep."""
    waiting: bool = False
    """True if the last sweep found notifications that nobody had taken yet."""

    def turned(self, now: float, polled: float | None) -> None:
        """Take a turn of the main loop, and the moment at which the broker last answered a poll.

        A broker that is not polled, as RabbitMQ, says nothing where nothing waits: then the turn itself is the sign.
        """
        if polled is not None:
            self.heard = max(self.heard, polled)
        elif not self.waiting:
            self.heard = now


def assess(
    signs: Signs, started: float, now: float, timeout: timedelta, takes_connections: Callable[[], bool]
) -> Health:
    """Return the verdict at a moment; `takes_connections` asks the broker's address, and only if it matters.

    A broker that refuses connections is away, and a worker that waits for it is well. One that takes connections and
    answers none looks the same as a consumer that does not listen any more: the worker restarts.
    """
    silent_s, timeout_s = now - max(signs.heard, started), timeout.total_seconds()
    if silent_s < timeout_s:
        return Health.WELL if signs.heard else Health.STARTING
    is_store_there = now - signs.reached < timeout_s
    if silent_s < timeout_s * (1 if is_store_there else _SILENT_STORE_FACTOR):
        return Health.CUT_OFF
    return Health.STUCK if takes_connections() else Health.CUT_OFF


def faults(signs: Signs, now: float) -> dict[str, str]:
    """Return the parts without which a worker is not ready, each with its state; ready if all are `ok`."""
    told = {"broker": signs.heard, "redis": signs.reached}
    return {name: _since(moment, now) for name, moment in told.items()}


def _since(moment: float, now: float) -> str:
    if not moment:
        return "has not answered yet"
    silent_s = now - moment
    return "ok" if silent_s < READY_WITHIN_S else f"has not answered for {silent_s:.0f} s"
