"""`carecase top` in a terminal: what stays on the screen while Redis refuses, and a terminal without a keyboard."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.acceptance.system import eventually
from tests.services import Services
from tests.terminals import in_a_terminal

USER = f"top-{os.getpid()}"
LAST_STATE = "known state"
"""Of a message that may be folded before it and after it."""


@pytest.fixture
def variables(servers: Services, raw_redis: redis.Redis) -> Iterator[dict[str, str]]:
    """A database, and a user of Redis's, which a test may bar."""
    raw_redis.acl_setuser(USER, enabled=True, passwords="+secret", keys="*", channels="*", commands=["+@all"])
    address = servers.redis_url.partition("@")[2]
    yield {"CARECASE_REDIS_URL": f"redis://{USER}:secret@{address}", "CARECASE_DATABASES_NORTH_URL": "sqlite:///n"}
    raw_redis.acl_deluser(USER)


def test_while_redis_refuses_the_last_state_stays_and_then_it_goes_on(
    tmp_path: Path, raw_redis: redis.Redis, variables: dict[str, str]
) -> None:
    with in_a_terminal(tmp_path, "top", "--every", "0.2", variables=variables) as terminal:
        eventually(lambda: terminal.shows("north"), 60, what="the screen is shown")
        raw_redis.acl_setuser(USER, commands=["-@all"])
        eventually(lambda: terminal.shows(LAST_STATE), 60, what="it says that it is out of date")
        assert "refuses a command" in terminal.text
        assert "(redis://127.0.0.1:" in terminal.text
        assert "secret" not in terminal.text
        eventually(
            lambda: terminal.shows("") and "north" in terminal.text.rpartition(LAST_STATE)[2], 60, what="it stays"
        )
        raw_redis.acl_setuser(USER, commands=["+@all"])
        eventually(
            lambda: terminal.shows("") and terminal.text.rpartition(LAST_STATE)[2].count("north") > 1,
            60,
            what="it goes on",
        )
        terminal.press("q")
        assert terminal.process.wait(60) == 0


def test_without_a_keyboard_it_goes_on_until_it_is_stopped(tmp_path: Path, variables: dict[str, str]) -> None:
    """As in the window of a display that shows it all day: an input without end is no key."""
    with in_a_terminal(tmp_path, "top", "--every", "0.2", variables=variables, has_keyboard=False) as terminal:
        eventually(
            lambda: terminal.shows("") and terminal.text.count("north") > 1, 60, what="the screen is drawn again"
        )
        terminal.press("\x03")
        assert terminal.process.wait(60) == 0
        assert terminal.shows("\x1b[?1049l"), "the screen before is back"
