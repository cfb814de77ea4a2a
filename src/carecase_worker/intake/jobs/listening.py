"""Listeners: requests for event streams, and the timing of events.

A stream has no queue: when it is woken, it reads its jobs again and sends the differences. So a slow reader costs no
memory, and a lost wake-up only delays events.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from carecase_worker.errors import AccessRefused, CareCaseError, StoreUnavailable
from carecase_worker.intake.access.authenticator import Caller
from carecase_worker.intake.http.responses.event_stream import HEARTBEAT
from carecase_worker.store.job import Job
from carecase_worker.store.listening.followers import Follower
from carecase_worker.telemetry import logger

_log = logger("events")
AGAIN = timedelta(seconds=2)
"""The delay after which a disconnected client should reconnect."""

_PAUSE = timedelta(milliseconds=250)
"""The minimum time between two reads of a job, so that progress is sent at most four times a second."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A request for an event stream.

    `heartbeat` is the maximum time between two events. `allowed` raises AccessRefused or KeysUnavailable once the
    credentials are no longer valid; `read` reads a job of the caller, and raises JobNotFound or JobExpired.
    """

    caller: Caller
    root_path: str
    heartbeat: timedelta
    follower: Follower
    allowed: Callable[[], Awaitable[Caller]]
    read: Callable[[str], Awaitable[Job]]

    async def stream(
        self, news: Callable[[], AsyncIterator[bytes]], is_over: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """Yield the events of `news` after each change, and a heartbeat when there was none for a while.

        Ends when `is_over`, when the process stops, or when the credentials or the job are no longer valid.
        """
        changed, failed = True, False
        try:
            while not self.follower.over:
                await self.allowed()
                if changed or failed:
                    try:
                        async for piece in news():
                            yield piece
                        failed = False
                    except StoreUnavailable:
                        failed = True  # look again at the next heartbeat: this change may have been the last one
                if is_over():
                    return
                if not changed or failed:
                    yield HEARTBEAT
                changed = await self.follower.turn(self.heartbeat, _PAUSE)
        except CareCaseError as error:
            reason = error.fault.value if isinstance(error, AccessRefused) else type(error).__name__
            _log.info("stream ended", client=self.caller.client, reason=reason)
