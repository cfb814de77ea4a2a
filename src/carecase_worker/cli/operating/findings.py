"""Findings of `carecase doctor`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from carecase_worker.settings.model import Settings


class Grade(Enum):
    """Severity of a finding; only FIX makes the exit status 1."""

    OK = "ok"
    HINT = "hint"
    FIX = "fix"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; it has no secret."""

    grade: Grade
    about: str
    text: str


Check = Callable[[Settings], Iterator[Finding]]
"""A function that yields what it finds."""
