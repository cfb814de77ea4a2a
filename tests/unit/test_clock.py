"""Moments as numbers and back, UUIDs by RFC 9562, chance that can be repeated."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.clock import (
    SeededRandom,
    SystemClock,
    SystemRandom,
    epoch_ms,
    from_epoch_ms,
    from_epoch_us,
    milliseconds,
    monotonic,
    uuid7,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RFC_9562 = datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(timedelta(hours=-5)))
"""The time of the example in appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F."""


@dataclass(frozen=True)
class Stopped:
    """A clock that stands still."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


@pytest.mark.parametrize(
    ("moment", "ms"),
    [
        (EPOCH, 0),
        (RFC_9562, 0x017F22E279B0),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (EPOCH + timedelta(microseconds=999), 0),
        (EPOCH + timedelta(microseconds=1000), 1),
        (EPOCH - timedelta(microseconds=1), -1),
    ],
)
def test_a_time_becomes_whole_milliseconds(moment: datetime, ms: int) -> None:
    assert epoch_ms(moment) == ms


@pytest.mark.parametrize(
    ("duration", "ms"),
    [(timedelta(seconds=1.5), 1500), (timedelta(microseconds=999), 0), (timedelta(days=1), 86_400_000)],
)
def test_a_duration_as_whole_milliseconds(duration: timedelta, ms: int) -> None:
    assert milliseconds(duration) == ms


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_milliseconds_and_microseconds_become_times_in_utc(ms: int) -> None:
    moment = from_epoch_ms(ms)
    assert epoch_ms(moment) == ms
    assert from_epoch_us(ms * 1000 + 7) == moment + timedelta(microseconds=7)
    assert (moment.tzinfo, from_epoch_us(ms).tzinfo) == (UTC, UTC)


def test_a_uuid_has_time_version_and_variant_where_the_rfc_has_them() -> None:
    made = [uuid7(Stopped(RFC_9562)) for _ in range(200)]
    assert {str(one)[:15] for one in made} == {"017f22e2-79b0-7"}
    assert {str(one)[19] for one in made} == set("89ab")
    assert len({one.int & (1 << 62) - 1 for one in made}) == 200
    assert len({one.int >> 64 & 0xFFF for one in made}) > 100, "the bits behind the version are chance, too"
    assert {one.version for one in made} == {7}


def test_uuids_sort_by_their_milliseconds() -> None:
    moments = [EPOCH + timedelta(milliseconds=1 << bit) for bit in range(48)]
    made = [uuid7(Stopped(moment)) for moment in moments]
    assert made == sorted(made, key=str)
    assert made == sorted(made)


def test_the_same_seed_gives_the_same_chance() -> None:
    one, same, other = ([random.random() for _ in range(50)] for random in map(SeededRandom, (1, 1, 2)))
    assert one == same != other
    assert len(set(one)) == 50
    assert all(0 <= roll < 1 for roll in one)


def test_chance_is_drawn_from_0_to_1() -> None:
    rolls = [SystemRandom().random() for _ in range(1000)]
    assert all(0 <= roll < 1 for roll in rolls)
    assert min(rolls) < 0.1 < 0.9 < max(rolls)


def test_the_machines_clocks_go_forward() -> None:
    moment, seconds = SystemClock().now(), monotonic()
    assert moment.utcoffset() == timedelta(0)
    assert monotonic() >= seconds
    assert abs(SystemClock().now() - moment) < timedelta(hours=1)
