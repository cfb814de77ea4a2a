"""The verdict on a worker's main process, from its signs of life."""

from datetime import timedelta

import pytest

from carecase_worker.clock import monotonic
from carecase_worker.worker.health.monitor import Monitor
from carecase_worker.worker.health.signs import Health, Signs, assess, faults

PATIENCE = timedelta(seconds=30)


def verdict(signs: Signs, now: float, takes_connections: bool = True) -> Health:
    """The verdict on a worker that was started at 100."""
    return assess(signs, 100.0, now, PATIENCE, lambda: takes_connections)


def test_a_worker_that_hears_its_broker_is_well_and_its_broker_is_not_asked() -> None:
    def asked() -> bool:
        raise AssertionError

    assert assess(Signs(heard=1000.0, reached=1000.0), 100.0, 1029.9, PATIENCE, asked) is Health.WELL


def test_a_worker_that_has_just_started_is_starting() -> None:
    assert verdict(Signs(), 129.9) is Health.STARTING


@pytest.mark.parametrize(
    ("silent_s", "store_silent_s", "takes_connections", "expected"),
    [
        (30, 0, True, Health.STUCK),
        (30, 0, False, Health.CUT_OFF),
        (9999, 0, False, Health.CUT_OFF),
        (30, 14.9, True, Health.STUCK),
        (30, 29, True, Health.CUT_OFF),
        (30, 30, True, Health.CUT_OFF),
        (119.9, 119.9, True, Health.CUT_OFF),
        (120, 120, True, Health.STUCK),
        (120, 120, False, Health.CUT_OFF),
    ],
)
def test_silence_of_a_broker_that_takes_connections_means_stuck(
    silent_s: float, store_silent_s: float, takes_connections: bool, expected: Health
) -> None:
    signs = Signs(heard=1000 - silent_s, reached=1000 - store_silent_s)
    assert verdict(signs, 1000.0, takes_connections) is expected


def test_a_worker_that_never_heard_its_broker_is_stuck_in_time_too() -> None:
    assert verdict(Signs(reached=129.0), 130.0) is Health.STUCK


def test_a_worker_that_has_not_heard_its_broker_yet_counts_the_seconds_from_its_start() -> None:
    """Those since the machine was started would be an alert."""
    began = monotonic()
    monitor = Monitor(Signs(), PATIENCE, PATIENCE, lambda: True)
    heard = {sample.name: sample.value for sample in monitor.samples()}["carecase_worker_heard_seconds"]
    assert 0 <= heard <= monotonic() - began


def test_turns_of_a_loop_that_polls_count_by_the_answers() -> None:
    signs = Signs()
    signs.turned(50.0, polled=49.0)
    signs.turned(60.0, polled=49.0)
    assert signs.heard == 49.0
    signs.turned(61.0, polled=0.0)  # a new connection, which has not been answered yet
    assert signs.heard == 49.0


def test_turns_of_a_loop_that_is_sent_to_count_while_nothing_waits() -> None:
    signs = Signs()
    signs.turned(50.0, polled=None)
    signs.waiting = True
    signs.turned(60.0, polled=None)
    assert signs.heard == 50.0


def test_a_worker_is_ready_if_broker_and_job_store_answered_lately() -> None:
    assert faults(Signs(heard=99.0, reached=99.0), 100.0) == {"broker": "ok", "redis": "ok"}
    assert faults(Signs(heard=70.0), 100.0) == {"broker": "has not answered for 30 s", "redis": "has not answered yet"}


def test_the_monitor_says_at_any_time_what_has_not_answered_by_then_and_since_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signs = Signs()
    monitor = Monitor(signs, PATIENCE, PATIENCE, lambda: True)
    began = monotonic()
    signs.heard, signs.reached = began + 10, began + 30
    monkeypatch.setattr("carecase_worker.worker.health.monitor.monotonic", lambda: began + 30)
    assert monitor.checks() == faults(signs, began + 30) != faults(signs, began)
    heard = {sample.name: sample.value for sample in monitor.samples()}["carecase_worker_heard_seconds"]
    assert heard == pytest.approx(20)
