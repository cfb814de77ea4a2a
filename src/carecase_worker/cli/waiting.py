"""Waiting with a timeout; a line on standard error tells the user within five seconds."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from threading import Event, Thread
from types import TracebackType
from typing import Annotated

import typer

from carecase_worker.client.exchange.steps import Delay, Moved, Notice, Request
from carecase_worker.clock import monotonic
from carecase_worker.errors import DeadlineExceeded

_NOTICE_AFTER_S = 2.5
_NOTICED_FROM = timedelta(seconds=1)

Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Timeout in seconds for a response")]


class _OutOfTime(BaseException):
    """The timeout of a block; a BaseException, so that no handler of ordinary errors catches it."""


class Silence:
    """A context manager that prints a text once if there is no progress for a while."""

    def __init__(self, text: str, after_s: float = _NOTICE_AFTER_S) -> None:
        self._text = text
        self._after_s = after_s
        self._ended = Event()
        self._last = monotonic()
        self._thread = Thread(target=self._look, name="waiting", daemon=True)

    def __enter__(self) -> Moved:
        self._thread.start()
        return self.moved

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def moved(self) -> None:
        """Record progress."""
        self._last = monotonic()

    def _look(self) -> None:
        while not self._ended.wait(max(0.0, self._last + self._after_s - monotonic())):
            if monotonic() - self._last >= self._after_s:
                _say(self._text)
                return


@contextmanager
def deadline(what: str, seconds: float) -> Iterator[None]:
    """Limit the block to `seconds`, and print what it waits for if that takes long. Raises DeadlineExceeded.

    Works only in the main thread, since only a signal can interrupt a call that hangs.
    """

    def end(*_: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    try:
        with Silence(f"Waiting for {what}; giving up after {seconds:g} s. Ctrl-C ends this at once."):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except _OutOfTime:
        raise DeadlineExceeded(
            f"{what} did not come within {seconds:g} s. Check that it runs and is not overloaded."
        ) from None
    finally:
        signal.signal(signal.SIGALRM, before)


def request_notice(url: str, seconds: float) -> Notice:
    """Make the notice of the client's commands, which reports slow requests and retries."""

    def notice(step: Request | Delay) -> AbstractContextManager[Callable[[], None]]:
        if isinstance(step, Delay):
            if step.reason and step.duration >= _NOTICED_FROM:
                _say(f"{step.reason} Trying again in {step.duration.total_seconds():.0f} s.")
            return nullcontext(lambda: None)
        text = f"Waiting for {url} to answer {step.method} {step.path}; giving up after {seconds:g} s (--timeout)."
        return Silence(text, _NOTICE_AFTER_S + step.long_poll.total_seconds())

    return notice


def _say(text: str) -> None:
    with suppress(OSError):
        typer.echo(text, err=True)
