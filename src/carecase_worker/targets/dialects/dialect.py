"""A dialect: everything specific to one kind of target database.

A dialect is a value whose parts are functions; a part that a database does not need defaults to doing nothing. To add a
dialect, make one such value and name it in `registry.py`: the conformance suite then tests it against the contract.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, Executable

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.constraints import ConstraintReports
from carecase_worker.targets.dialects.failures import Errors
from carecase_worker.targets.dialects.upsert import ComparableUpsert


def _nothing(*_: object) -> None:
    """Do nothing: the database needs nothing here."""


def _never(*_: object) -> bool:
    """Return False: this cannot happen in the database."""
    return False


def _always(*_: object) -> bool:
    """Return True: the database has no restriction here."""
    return True


@dataclass(frozen=True, slots=True)
class Connecting:
    """Connections: the driver, its parameters, and the setup of sessions."""

    driver: str
    """SQLAlchemy's name of dialect and driver."""
    arguments: Callable[[DatabaseSettings, URL], Mapping[str, Any]]
    """Return additional arguments of `create_engine`; the URL's own parameters take precedence."""
    set_up: Callable[[Engine, DatabaseSettings], None]
    """Listen to an engine's events, so that each session is checked and set up: UTC, durable commits, deadlines."""
    unknown_parameters: Callable[[URL], Sequence[str]] = lambda _: ()
    """Return the names in a URL that the driver has no parameters for."""
    library: str = ""
    """The library that defines the parameters of a URL."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Statements, locks and limits of a transaction that writes cases."""

    upsert: ComparableUpsert
    """The database's fastest upsert."""
    upsert_of_no_case: Executable
    """An upsert that requires table, columns and privileges, but writes nothing."""
    limit_statements: Callable[[Connection, float], None]
    """Limit each further statement of the transaction, in seconds; waits for locks end sooner."""
    begin_attempt: Callable[[Connection, float], None] = _nothing
    """Limit the statements of an attempt, where the session's own deadlines do not."""
    check_constraints_at_once: Callable[[Connection], None] = _nothing
    """Check deferred constraints now, and from now on with each statement."""
    lift_deadline: Callable[[Connection], None] = _nothing
    """Remove the time limit of this transaction's statements."""
    lock_codes: frozenset[str] = frozenset()
    """Codes of the errors of statements that waited too long for a lock."""
    may_have_waited_for_us: Callable[[Connection, float], bool] = _never
    """Return whether another session of this service may have held a lock during the whole wait of a statement with a
    limit in seconds. Two slow chunks that share cases can block each other; no case is at fault then."""
    survives_a_deadline: bool = True
    """False if interrupting a statement rolls back the whole transaction, and not just the statement."""
    has_lost_transaction: Callable[[Connection], bool] = _never
    """Return whether the database rolled back the whole transaction."""
    is_replaced: Callable[[Connection], bool] = _never
    """Return whether the database was replaced under the connection, so that a commit was lost."""


@dataclass(frozen=True, slots=True)
class SchemaAccess:
    """Migration and comparison of the schema."""

    begin_migration: Callable[[Connection], None] = _nothing
    """Wait until no other process migrates, for as long as that takes."""
    begin_comparison: Callable[[Connection], None] = _nothing
    """Restrict the transaction to this database's schema, and fail if that is not writable."""
    may_read_revision: Callable[[Connection], bool] = _always
    """Return whether this user may read the table of revisions; a worker's user need not."""
    make: Callable[[Engine], None] = _nothing
    """Create an empty database if there is none, for dialects that connect without one."""
    stand_in: Callable[[Engine], Engine | None] = _nothing
    """Return an engine of an empty stand-in if `make` would create the database; else None."""
    create_database: Callable[[Connection, str], None] = _nothing
    """Make a database on the server of a connection, unless it is there."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of target database."""

    name: str
    """Its name in SQLAlchemy, which is also the scheme of its URLs."""
    connecting: Connecting
    errors: Errors
    constraints: ConstraintReports
    writing: Writing
    schema: SchemaAccess
