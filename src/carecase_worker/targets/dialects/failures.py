"""Classification of driver errors as failures of a target database. Error codes are known only to the dialects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.errors import Cause, FailureKind, TargetFailure
from carecase_worker.targets.causes import Causes

ITEM_FAULTS = (FailureKind.CONFLICT, FailureKind.REFUSED)
"""Kinds of failure whose code proves that an item is at fault."""

Meaning = tuple[FailureKind, Causes | None]
"""Kind of failure for the chunk at hand, and its cause unless an item is at fault."""

_AWAY: Meaning = (FailureKind.AWAY, Causes.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors of one driver: its table of codes, and functions for what a code does not settle.

    A driver's error is Any here, since its attributes are driver-specific.
    """

    lowest: str
    """The lowest version of the database that is supported, with the database's name."""
    raised: type[Exception]
    """The class of all errors that the driver raises."""
    code_of_raised: Callable[[Any], str]
    """Return the database's code of an error; empty if it has none."""
    meanings: Mapping[str, Meaning]
    """Meanings by the longest known prefix of a code."""
    any_other: Meaning
    """The meaning of every other code."""
    special: Callable[[Any], Meaning | None]
    """Return the meaning of an error whose code is ambiguous; None if the table has it."""
    may_blame_an_item: Callable[[DBAPIError, FailureKind], bool]
    """Return whether the database is still there after this error, and may have refused a single item with it."""
    is_of_code: Callable[[Any], bool] = lambda _: False
    """Return whether code in the database, such as a trigger's, made the error."""
    parameter: Callable[[str], str] = lambda _: ""
    """Return the connection parameter whose value an error's text rejects; empty if it names none."""

    def failure_of(self, error: SQLAlchemyError) -> TargetFailure:
        """Translate an error into a TargetFailure, with its cause unless an item is at fault.

        If a connection parameter is at fault, its name replaces the code, which the database did not send.
        """
        kind, cause = self._meaning(error)
        code = self.code_of(error)
        if cause is Causes.PARAMETER and isinstance(error, DBAPIError):
            code = self.parameter(str(error.orig))
        return TargetFailure(kind, code, self._cause(cause) if cause else None)

    def away(self, code: str) -> TargetFailure:
        """Return the failure of a database that responds but counts as away, with the cause for a code."""
        _, cause = self._longest(code, _AWAY)
        return TargetFailure(FailureKind.AWAY, code, (cause or Causes.UNKNOWN).value)

    def classify(self, error: SQLAlchemyError) -> FailureKind:
        """Return the kind of failure of an error."""
        return self._meaning(error)[0]

    def answered(self, error: SQLAlchemyError) -> bool:
        """Return whether the database is still there and may have refused a single item with this error.

        That does not depend on the error's kind: a trigger may raise any code over one item.
        """
        if not isinstance(error, DBAPIError) or self._raised(error) is None:
            return False
        return self.may_blame_an_item(error, self.classify(error))

    def raised_by_code(self, error: SQLAlchemyError) -> bool:
        """Return whether code in the database, such as a trigger's, made the error."""
        raised = self._raised(error)
        return raised is not None and self.is_of_code(raised)

    def code_of(self, error: SQLAlchemyError) -> str:
        """Return the database's own code of an error; empty if it has none."""
        raised = self._raised(error)
        return "" if raised is None else self.code_of_raised(raised)

    def _meaning(self, error: SQLAlchemyError) -> Meaning:
        raised = self._raised(error)
        if raised is None:
            return _AWAY
        return self.special(raised) or self._longest(self.code_of_raised(raised), self.any_other)

    def _raised(self, error: SQLAlchemyError) -> Exception | None:
        """Return the driver's error; None if the error is not the driver's."""
        original = error.orig if isinstance(error, DBAPIError) else None
        return original if isinstance(original, self.raised) else None

    def _longest(self, code: str, otherwise: Meaning) -> Meaning:
        """Look a code up by its longest prefix in the table."""
        beginnings = (code[:length] for length in range(len(code), 0, -1))
        return next((self.meanings[beginning] for beginning in beginnings if beginning in self.meanings), otherwise)

    def _cause(self, cause: Causes) -> Cause:
        found: Cause = cause.value
        if cause is not Causes.VERSION:
            return found
        return Cause(found.name, f"{found.text}: the lowest is {self.lowest}, see docs/operations/versions.md")
