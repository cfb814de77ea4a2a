"""A process whose clock is off, by libfaketime: Debian's package `faketime`."""

from pathlib import Path

import pytest

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def shifted_by(offset: str) -> dict[str, str]:
    """The variables that shift a process's time of day, as `+1d` or `-30s`; what measures durations stays right."""
    return _with_library(FAKETIME=offset)


def shifted_in(file: Path) -> dict[str, str]:
    """The variables that shift a process's time of day by what stands in a file, and may change there."""
    return _with_library(FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_CACHE_DURATION="1")


def _with_library(**own: str) -> dict[str, str]:
    if not _LIBRARIES:
        pytest.skip("NOT TESTED: wrong clocks. Install libfaketime: apt-get install faketime")
    return {
        "LD_PRELOAD": str(_LIBRARIES[0]),
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
        "NO_FAKE_STAT": "1",
        **own,
    }
