"""A dialect: all that this service has to know of one kind of target database.

A dialect is a value. Its parts hold functions, since they differ in what they do; a part that a database has no need
of stands for doing nothing. To add a dialect, make one such value and name it in `registry.py`: the conformance suite
then holds it to the contract.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, Executable

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.constraints import ConstraintReports
from carecase_worker.targets.dialects.failures import Errors
from carecase_worker.targets.dialects.upsert import Upsert


def _nothing(*_: object) -> None:
    """Do nothing: the database needs nothing here."""


def _never(*_: object) -> bool:
    """Return False: the database does no such thing."""
    return False


def _always(*_: object) -> bool:
    """Return True: the database has no say in this."""
    return True


@dataclass(frozen=True, slots=True)
class Connecting:
    """Connections: the driver, its parameters, and the setup of sessions."""

    driver: str
    """SQLAlchemy's name of dialect and driver."""
    arguments: Callable[[DatabaseSettings, URL], Mapping[str, Any]]
    """Return arguments of `create_engine` beside the usual ones; the URL's own parameters win."""
    set_up: Callable[[Engine, DatabaseSettings], None]
    """Listen to an engine's events, so that each session is checked and set up: UTC, durable commits, deadlines."""
    unknown_parameters: Callable[[URL], Sequence[str]] = lambda _: ()
    """Return the names in a URL that the driver has no parameters for."""
    library: str = ""
    """The library whose parameters a URL may have."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Statements, locks and limits of a transaction that writes cases."""

    upsert: Upsert
    """The fastest upsert that the database has."""
    upsert_of_no_case: Executable
    """An upsert that needs table, columns and privileges, and writes nothing."""
    limit_statements: Callable[[Connection, float], None]
    """Limit each further statement of the transaction to so many seconds; waits for locks end sooner."""
    begin_attempt: Callable[[Connection, float], None] = _nothing
    """Limit the statements of an attempt, where the session's own deadlines do not."""
    check_constraints_at_once: Callable[[Connection], None] = _nothing
    """Check the constraints that wait for the end of the transaction now, and from now on with each statement."""
    lift_deadline: Callable[[Connection], None] = _nothing
    """Let the statements of this transaction take as long as they do."""
    lock_codes: frozenset[str] = frozenset()
    """Codes of the errors of statements that waited too long for a lock."""
    may_have_waited_for_us: Callable[[Connection, float], bool] = _never
    """Return whether another session of this service may have held a lock for all of the wait of a statement that was
    limited to so many seconds. Two slow chunks that share cases can block each other; that is no case's fault."""
    survives_a_deadline: bool = True
    """False if a statement that is interrupted takes back the whole transaction, and not just itself."""
    has_lost_transaction: Callable[[Connection], bool] = _never
    """Return whether the database rolled back the whole transaction."""
    is_replaced: Callable[[Connection], bool] = _never
    """Return whether the database was replaced behind the connection, so that a commit went astray."""


@dataclass(frozen=True, slots=True)
class SchemaAccess:
    """Migration and comparison of the schema."""

    begin_migration: Callable[[Connection], None] = _nothing
    """Wait until no other process migrates, for as long as that takes."""
    begin_comparison: Callable[[Connection], None] = _nothing
    """Leave out of the transaction what is not this database's schema, and show whether it can be written at all."""
    may_read_revision: Callable[[Connection], bool] = _always
    """Return whether this user may read the table of revisions; a worker's user need not."""
    make: Callable[[Engine], None] = _nothing
    """Make an empty database where there is none, if connecting does not need it to be there."""
    stand_in: Callable[[Engine], Engine | None] = _nothing
    """Return an engine of an empty database if there is none yet where `make` would make one; else None."""
    create_database: Callable[[Connection, str], None] = _nothing
    """Make a database on the server of a connection, unless it is there."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of target database."""

    name: str
    """SQLAlchemy's name of it, which is also the scheme of its URLs."""
    connecting: Connecting
    errors: Errors
    constraints: ConstraintReports
    writing: Writing
    schema: SchemaAccess
