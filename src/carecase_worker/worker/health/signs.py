"""Health of a worker's main process: signs of life of its consumer, and the verdict on them. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

READY_WITHIN_S = 15.0
"""Maximum age in seconds of the last response of broker and job store for readiness: longer than any chunk takes."""

_SILENT_STORE_FACTOR = 4
"""If the job store is silent, too, a restart is less likely to help, so it is delayed fourfold."""

_LATELY = 0.5
"""Part of the timeout within which a job store that is there has answered.

If both fall silent at once, its last answer may be a moment younger than the broker's.
"""


class Health(Enum):
    """Verdict on a worker's main process. Only STUCK is a fault of its own."""

    STARTING = "starting: the broker has not answered yet"
    WELL = "well"
    CUT_OFF = "the broker cannot be reached; the worker keeps trying"
    STUCK = "the consumer gets no response from a broker that accepts connections; the worker restarts itself"


@dataclass(slots=True)
class Signs:
    """Signs of life of a worker, in seconds of the monotonic clock: 0 if there was none yet.

    The main loop, the heartbeat and the sweep write them, and other threads read them; each is one assignment.
    """

    heard: float = 0.0
    """Time of the broker's last response or message to the consumer."""
    reached: float = 0.0
    """Time of the job store's last response to a heartbeat."""
    waiting: bool = False
    """True if the last sweep found notifications still in the queue."""

    def turned(self, now: float, polled: float | None) -> None:
        """Record a turn of the main loop, and the time of the broker's last response to a poll.

        A broker that is not polled, such as RabbitMQ, is silent while its queues are empty: then the turn counts.
        """
        if polled is not None:
            self.heard = max(self.heard, polled)
        elif not self.waiting:
            self.heard = now


def assess(
    signs: Signs, started: float, now: float, timeout: timedelta, takes_connections: Callable[[], bool]
) -> Health:
    """Return the verdict at `now`; `takes_connections` probes the broker's address, and is called only if it matters.

    A broker that refuses connections is down, and a worker that waits for it is healthy. A broker that accepts
    connections but never responds looks the same as a consumer that has stopped listening: the worker restarts.
    """
    silent_s, timeout_s = now - max(signs.heard, started), timeout.total_seconds()
    if silent_s < timeout_s:
        return Health.WELL if signs.heard else Health.STARTING
    is_store_there = now - signs.reached < timeout_s * _LATELY
    if silent_s < timeout_s * (1 if is_store_there else _SILENT_STORE_FACTOR):
        return Health.CUT_OFF
    return Health.STUCK if takes_connections() else Health.CUT_OFF


def faults(signs: Signs, now: float) -> dict[str, str]:
    """Return the dependencies of a worker, each with its state; it is ready if all are `ok`."""
    last = {"broker": signs.heard, "redis": signs.reached}
    return {name: _since(moment, now) for name, moment in last.items()}


def _since(moment: float, now: float) -> str:
    if not moment:
        return "has not answered yet"
    silent_s = now - moment
    return "ok" if silent_s < READY_WITHIN_S else f"has not answered for {silent_s:.0f} s"
