"""Durations as arguments: a timedelta, or a number of seconds."""

from datetime import timedelta
from math import isnan, nan
from typing import SupportsFloat, TypeAlias

from carecase_worker.errors import ClientError

Duration: TypeAlias = timedelta | SupportsFloat
"""A timedelta, or a number of seconds."""


def duration_of(given: Duration, name: str) -> timedelta:
    """Convert a duration to a timedelta of at most 100 years; a negative one becomes 0. Raises ClientError."""
    if isinstance(given, timedelta):
        given = given.total_seconds()
    if isinstance(given, str | bytes | bool) or not hasattr(given, "__float__"):
        raise ClientError(f"{name} is of type {type(given).__name__}. Give seconds as a number, or a timedelta.")
    try:
        seconds = float(given)
    except OverflowError:
        seconds = _LONGEST_S
    except (TypeError, ValueError):
        seconds = nan
    if isnan(seconds):
        raise ClientError(f"{name} is not a number. Give seconds as a number, or a timedelta.")
    return timedelta(seconds=min(max(seconds, 0.0), _LONGEST_S))


_LONGEST_S = timedelta(days=36_500).total_seconds()  # so that now plus a duration is still a valid date
