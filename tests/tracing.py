"""The order in which functions of the package are first called, in every thread of this process."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import carecase_worker

PACKAGE = Path(carecase_worker.__file__).parent


@contextmanager
def first_calls() -> Iterator[dict[str, None]]:
    """Collect them, as `worker/attempts/attempt.py: Applier.claim`, each once, but not of threads that run already."""
    prefix = f"{PACKAGE}/"
    calls: dict[str, None] = {}

    def called(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(prefix):
            calls.setdefault(f"{file.removeprefix(prefix)}: {frame.f_code.co_qualname.replace('<locals>.', '')}")

    threading.setprofile(called)
    sys.setprofile(called)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
