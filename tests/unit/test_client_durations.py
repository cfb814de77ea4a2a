"""Durations as programs give them to the client: a timedelta, or seconds."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from carecase_worker.client.api import connect, connect_async
from carecase_worker.client.durations import duration_of
from carecase_worker.errors import ClientError


class Seconds:
    """A number of somebody else's, as numpy's are."""

    def __float__(self) -> float:
        return 2.5


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (timedelta(seconds=5), 5),
        (timedelta(microseconds=1), 0.000001),
        (timedelta(days=-1), 0),
        (timedelta.max, 3_153_600_000),
        (5, 5),
        (0.25, 0.25),
        (0, 0),
        (-1, 0),
        (Decimal("1.5"), 1.5),
        (Seconds(), 2.5),
        (float("inf"), 3_153_600_000),
        (10**400, 3_153_600_000),
    ],
)
def test_a_duration_is_a_timedelta_or_a_number_of_seconds(given: Any, seconds: float) -> None:
    assert duration_of(given, "timeout") == timedelta(seconds=seconds)


@pytest.mark.parametrize("given", ["5", b"5", True, None, [5], float("nan"), Decimal("sNaN"), 1j])
def test_what_is_no_duration_is_refused_by_its_name(given: Any) -> None:
    with pytest.raises(ClientError, match=r"timeout is .* Give seconds as a number, or a timedelta\."):
        duration_of(given, "timeout")


def test_every_call_that_takes_a_duration_says_so() -> None:
    async def ask() -> None:
        async with connect_async("http://127.0.0.1:1") as client:
            with pytest.raises(ClientError, match="timeout is of type str"):
                await client.wait("j", timeout="5")  # type: ignore[arg-type]
            with pytest.raises(ClientError, match="within is of type str"):
                await client.job("j", within="5")  # type: ignore[arg-type]

    asyncio.run(ask())
    with connect("http://127.0.0.1:1") as client:
        with pytest.raises(ClientError, match="timeout is of type str"):
            client.wait("j", timeout="5")  # type: ignore[arg-type]
        with pytest.raises(ClientError, match="within is of type str"):
            client.job("j", within="5")  # type: ignore[arg-type]
