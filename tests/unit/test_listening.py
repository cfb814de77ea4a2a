"""Listeners of events: what may have changed is looked at again, however a look ends and whatever is named."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from structlog.testing import capture_logs
from tests.traced_memory import traced_memory

from carecase_worker.errors import CareCaseError, JobExpired, JobNotFound, KeysUnavailable, StoreUnavailable
from carecase_worker.intake.http.responses.event_stream import HEARTBEAT
from carecase_worker.intake.jobs.listening import Listener
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.listening.completions import JobCompletions
from carecase_worker.store.listening.followers import Follower

SOON = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
ENOUGH = 5


def streamed(news: Callable[[], AsyncIterator[bytes]], is_over: Callable[[list[bytes]], bool]) -> list[bytes]:
    """The pieces of a stream of which nothing changes, until a test says that it is over."""
    pieces: list[bytes] = []

    async def allowed() -> Any:
        return None

    async def listen() -> None:
        listener = Listener(
            caller=cast(Any, SimpleNamespace(client="ann")),
            root_path="",
            heartbeat=SOON,
            follower=Follower(of_one_job=True),
            allowed=allowed,
            read=cast(Any, None),
        )
        async for piece in listener.stream(news, lambda: is_over(pieces) or len(pieces) > ENOUGH):
            pieces.append(piece)

    anyio.run(listen)
    return pieces


def failing(*faults: Exception) -> Callable[[], AsyncIterator[bytes]]:
    """Looks that fail so many times, and then find something each time."""
    to_come = [*faults]

    async def news() -> AsyncIterator[bytes]:
        if to_come:
            raise to_come.pop(0)
        yield b"news"

    return news


def test_a_look_that_failed_is_made_again_though_nothing_changes_any_more() -> None:
    assert streamed(failing(StoreUnavailable("away")), lambda pieces: b"news" in pieces) == [HEARTBEAT, b"news"]


def test_once_a_look_has_succeeded_again_nothing_is_read_until_something_changes() -> None:
    assert streamed(failing(StoreUnavailable("away")), lambda pieces: len(pieces) == ENOUGH) == [
        HEARTBEAT,
        b"news",
        *[HEARTBEAT] * 3,
    ]


@pytest.mark.parametrize("error", [JobExpired("gone"), JobNotFound("never was"), KeysUnavailable("later")])
def test_a_stream_whose_job_or_key_is_gone_ends_as_one_that_is_over_does(error: CareCaseError) -> None:
    """Not as one that breaks off, which is logged as a fault of the service."""

    async def news() -> AsyncIterator[bytes]:
        yield b"news"
        raise error

    with capture_logs() as logs:
        assert streamed(news, lambda _: False) == [b"news"]
    ended = {"event": "stream ended", "client": "ann", "reason": type(error).__name__, "log_level": "info"}
    assert logs == [ended]


def test_a_wake_up_names_a_thousand_jobs_and_of_more_the_listener_finds_out_for_itself() -> None:
    follower = Follower(of_one_job=False)
    for number in range(1001):
        follower.wake(str(number), final=False)
    jobs, missed = follower.take()
    assert (len(jobs), missed) == (1000, True)
    assert follower.take() == (set(), False)


def test_a_listener_that_ends_collects_no_further_changes() -> None:
    async def ended() -> bool:
        follower = Follower(of_one_job=False)
        follower.end()
        with anyio.fail_after(60):
            return await follower.turn(HOUR, HOUR)

    assert anyio.run(ended)


@pytest.mark.parametrize("of", ["waiters", "of_job", "of_client"])
def test_of_those_who_have_gone_nothing_is_kept(of: str) -> None:
    finals = JobCompletions(RedisSettings())
    come = finals.subscribe if of == "waiters" else getattr(finals.followers, of)
    with traced_memory() as memory:
        for number in range(10_000):
            with come(f"name {number}"):
                pass
    assert memory.left < 1 << 20
