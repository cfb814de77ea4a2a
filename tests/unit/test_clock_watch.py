"""A clock that is off is reported with what to do, once, and once that it is right again."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from carecase_worker.store.workers.clock_watch import ClockWatch, clock_fault


@pytest.mark.parametrize(
    ("ahead_s", "fault"),
    [
        (None, None),
        (0, None),
        (3, None),
        (-3, None),
        (3.001, "this host's clock is 3 s ahead of Redis's; synchronise both by NTP"),
        (-3.001, "this host's clock is 3 s behind Redis's; synchronise both by NTP"),
        (86_400, "this host's clock is 86400 s ahead of Redis's; synchronise both by NTP"),
    ],
)
def test_a_clock_may_be_off_by_three_seconds(ahead_s: float | None, fault: str | None) -> None:
    assert clock_fault(None if ahead_s is None else timedelta(seconds=ahead_s)) == fault


def test_whose_clock_it_is_can_be_said() -> None:
    assert (
        clock_fault(timedelta(seconds=5), "the clock of h")
        == "the clock of h is 5 s ahead of Redis's; synchronise both by NTP"
    )


def test_each_change_is_logged_once() -> None:
    watch, logged = ClockWatch(), []
    for seconds in (0, None, 9, 9, None, -9, 0, None, 1, -9):
        with capture_logs() as logs:
            watch.observe(None if seconds is None else timedelta(seconds=seconds))
        logged.append([(line["log_level"], line["event"], line.get("reason", "")) for line in logs])
    off = ("warning", "the clock is off", "this host's clock is 9 s {} Redis's; synchronise both by NTP")
    right = ("info", "the clock is right again", "")
    ahead, behind = ((*off[:2], off[2].format(side)) for side in ("ahead of", "behind"))
    assert logged == [[], [], [ahead], [], [], [], [right], [], [], [behind]]
