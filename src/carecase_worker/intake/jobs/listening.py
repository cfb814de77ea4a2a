"""Listeners: requests that are answered by a stream of events, and the times at which something is sent to them.

A stream keeps no queue: it looks at its jobs again when it is woken, and sends what it has not sent yet. So a slow
reader costs no memory, and a wake-up that is lost costs time only.
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
"""The time after which a client that was cut off is to connect anew."""

_PAUSE = timedelta(milliseconds=250)
"""The least time between two looks at a job, so that progress comes four times a second at most."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A request that listens.

    `heartbeat` is the time after which something is sent to it at the latest. `allowed` raises AccessRefused or
    KeysUnavailable once its credentials are not valid any more; `read` reads a job of its caller, and raises
    JobNotFound or JobExpired.
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
        """Yield what `news` does, whenever something has changed, and a heartbeat when nothing has for a while.

        It ends when `is_over`, with the process, with the credentials, or when a job cannot be read any more.
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
