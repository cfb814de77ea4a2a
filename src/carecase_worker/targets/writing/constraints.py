"""Outcomes of items that break constraints of the target database."""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.cases.care_case import FIELDS
from carecase_worker.cases.outcomes import REFUSED, Kind, Outcome
from carecase_worker.targets.dialects.dialect import Dialect
from carecase_worker.targets.dialects.upsert import Fault


class Constraints:
    """Outcomes of items that break constraints; each constraint is looked up once."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._known: dict[tuple[str | None, ...], Outcome] = {}

    def conflict(self, error: SQLAlchemyError) -> Outcome:
        """Return the outcome of an item that breaks a constraint.

        Its text has the fields, and kind and name of the constraint, but never a value. If the constraint is on none of
        the contract's fields, the sender cannot fix the item: REFUSED.
        """
        original = error.orig if isinstance(error, DBAPIError) else None
        code = self._dialect.errors.code_of(error)
        key = (code, *self._dialect.constraints.identity(original))
        if key not in self._known:
            self._known[key] = self._outcome(code, original)
        return self._known[key]

    def is_fault(self, error: SQLAlchemyError, fault: Fault) -> bool:
        """Return whether an error has the code and the names of a fault."""
        original = error.orig if isinstance(error, DBAPIError) else None
        names = [name or "" for name in self._dialect.constraints.identity(original)]
        return self._dialect.errors.code_of(error) == fault.code and names == [name or "" for name in fault.names]

    def _outcome(self, code: str, original: BaseException | None) -> Outcome:
        reports = self._dialect.constraints
        what, broken = reports.kinds.get(code, "a constraint"), reports.broken(self._connection, original)
        named = f" ({broken.name})" if broken.name else ""
        if broken.columns is None:
            return Outcome(Kind.CONFLICT, f"The item conflicts with {what} of the target database{named}.")
        fields = [field.name for field in FIELDS if field.column in broken.columns]
        if not fields:
            return REFUSED
        return Outcome(
            Kind.CONFLICT, f"{', '.join(fields)}: the item conflicts with {what} of the target database{named}"
        )
