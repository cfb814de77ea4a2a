"""Constraints as a dialect reports them: their kind by the error's code, their name and their columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Broken:
    """A constraint that an item violates; None where the database does not report a value.

    Columns are those in `care_case`; an empty name stands for columns of other tables.
    """

    name: str | None
    columns: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class ConstraintReports:
    """Extraction of constraints from driver errors of kind CONFLICT."""

    kinds: Mapping[str, str]
    """The kinds of constraints by the error's code, in words."""
    identity: Callable[[Any], tuple[str | None, ...]]
    """Return the identity of an error's constraint, besides the code: each constraint is looked up once."""
    broken: Callable[[Connection, Any], Broken]
    """Return the constraint that an error is about."""
