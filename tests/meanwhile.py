"""Something that goes on beside a test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(do: Callable[[], object], every_s: float) -> Iterator[None]:
    """Do something again and again in a thread of its own, until the end."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(every_s):
            do()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
