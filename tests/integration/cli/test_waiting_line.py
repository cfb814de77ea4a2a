"""Waiting that a user can see: what is said, once and in time, and the end of it."""

import signal
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.acceptance.system import eventually

from carecase_worker.cli.waiting import Silence, deadline, request_notice
from carecase_worker.client.exchange.steps import Delay, Request
from carecase_worker.clock import monotonic, system_sleep
from carecase_worker.errors import DeadlineExceeded

TEXT = "Waiting for the answer of it; giving up after {} s. Ctrl-C ends this at once.\n"


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Give the alarm, which pytest's time limit uses, back to it."""
    left = signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, *left)


def test_what_hangs_is_ended_and_reported_and_leaves_no_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(DeadlineExceeded) as raised, deadline("the answer of it", 0.2):
        threading.Event().wait(60)
    assert str(raised.value) == (
        "the answer of it did not come within 0.2 s. Check that it runs and is not overloaded."
    )
    assert raised.value.__suppress_context__
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert capsys.readouterr() == ("", ""), "two and a half seconds are nothing to tell of"


@pytest.mark.parametrize("error", [None, ValueError("its own")])
def test_what_ends_in_time_is_as_it_would_be_without_a_deadline(
    capsys: pytest.CaptureFixture[str], error: ValueError | None
) -> None:
    before, reached = signal.getsignal(signal.SIGALRM), list[object]()
    try:
        with deadline("the answer of it", 60):
            reached.append(1)
            if error:
                raise error
    except ValueError as raised:
        reached.append(raised)
    assert reached == ([1, error] if error else [1])
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert capsys.readouterr() == ("", "")


def test_a_long_wait_is_reported_once_while_it_lasts(capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []

    def is_told() -> bool:
        written.append(capsys.readouterr().err)
        return any(written)

    with deadline("the answer of it", 60):
        eventually(is_told)
        system_sleep(timedelta(milliseconds=50))  # it could be said again meanwhile
    assert "".join(written) + capsys.readouterr().err == TEXT.format(60)


def test_silence_is_reported_only_if_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    with Silence("still waiting", after_s=3600) as moved:
        moved()
    assert capsys.readouterr().err == ""
    with Silence("still waiting", after_s=0.01):
        output = eventually(lambda: capsys.readouterr().err)
    assert output == "still waiting\n"


def test_what_moves_again_and_again_is_not_reported_however_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    after_s, longest_s = 0.5, 0.0
    with Silence("still waiting", after_s) as moved:
        began = last = monotonic()
        while last < began + 2 * after_s:
            system_sleep(timedelta(milliseconds=1))  # the pace at which it moves
            moved()
            longest_s, last = max(longest_s, monotonic() - last), monotonic()
    assert capsys.readouterr().err == "" or longest_s >= after_s  # as on a machine that had no time for this


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Delay(timedelta(seconds=1), "503: So it is."), "503: So it is. Trying again in 1 s.\n"),
        (Delay(timedelta(seconds=9.6), "Away."), "Away. Trying again in 10 s.\n"),
        (Delay(timedelta(seconds=0.999), "Away."), ""),
        (Delay(timedelta(seconds=60)), ""),
    ],
)
def test_a_delay_is_reported_if_something_went_wrong_and_it_takes_a_second(
    capsys: pytest.CaptureFixture[str], step: Delay, said: str
) -> None:
    with request_notice("http://h", 30)(step) as moved:
        moved()
    assert capsys.readouterr() == ("", said)


def test_a_request_that_takes_long_is_shown_with_what_it_asks_and_for_how_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notice = request_notice("http://h", 7.5)
    long_poll = Request("GET", "/jobs", long_poll=timedelta(seconds=3600))
    with notice(long_poll), notice(Request("PUT", "/care-cases-batch")):
        output = eventually(lambda: capsys.readouterr().err)
    assert output + capsys.readouterr().err == (
        "Waiting for http://h to answer PUT /care-cases-batch; giving up after 7.5 s (--timeout).\n"
    ), "a service that holds its answer as it was asked to is not told of"
