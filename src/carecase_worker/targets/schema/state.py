"""The schema of a target database, compared with the tables that this version needs."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.failures import errors_as_failures
from carecase_worker.targets.schema.differences import faults_of
from carecase_worker.targets.schema.revisions import context_of, scripts


@dataclass(frozen=True, slots=True)
class SchemaState:
    """A database's schema compared with this version: both revisions, and the faults."""

    wanted: str
    current: tuple[str, ...]
    known: bool
    faults: tuple[str, ...]

    @property
    def revision(self) -> str:
        """The database's revision, as people read it."""
        return " and ".join(self.current) or "none"

    @property
    def is_newer(self) -> bool:
        """True if a newer version of this service migrated it."""
        return len(self.current) == 1 and not self.known

    @property
    def summary(self) -> str:
        """The description of a schema that this version can work with."""
        newer = f"it is at revision {self.revision}, newer than this version's {self.wanted}, and only adds to it"
        return f"fits ({newer})" if self.is_newer else "fits"

    def schema_differences(self) -> list[str]:
        """Return the differences that keep this version from working with the schema, a line each."""
        lines = [f"it {fault}" for fault in self.faults]
        if self.is_newer and lines:
            newer = f"it is at revision {self.revision}, newer than this version's {self.wanted}"
            return [f"{newer}, which cannot work with it: run the newer version", *lines]
        if not self.is_newer and self.current != (self.wanted,):
            return [f"it is at revision {self.revision}, not {self.wanted}: run carecase db upgrade", *lines]
        return lines


def state(engine: Engine) -> SchemaState:
    """Compare the schema of a database with this version. Raises TargetFailure."""
    looked_at = dialect_of(engine).schema.stand_in(engine) or engine
    with errors_as_failures(engine), looked_at.connect() as connection:
        return state_of(connection)


def schema_differences(engine: Engine) -> list[str]:
    """Return what the schema lacks, a line each; empty if this version can work with it. Raises TargetFailure."""
    return state(engine).schema_differences()


def require_fitting(engine: Engine) -> None:
    """Raise TargetFailure unless this version can work with the schema.

    It is one short query if the revision is this version's; a schema of another one is compared in full.
    """
    with errors_as_failures(engine), engine.connect() as connection:
        if _heads(connection) != (scripts().get_current_head(),) and state_of(connection).faults:
            raise TargetFailure(FailureKind.AWAY, cause=Causes.SCHEMA.value)


def state_of(connection: Connection) -> SchemaState:
    """Compare the schema that a connection works in with this version."""
    dialect_of(connection).schema.begin_comparison(connection)
    context, ours = context_of(connection), scripts()
    current = tuple(sorted(_heads(connection)))
    known = {script.revision for script in ours.walk_revisions()}
    return SchemaState(ours.get_current_head() or "", current, known.issuperset(current), tuple(faults_of(context)))


def _heads(connection: Connection) -> tuple[str, ...]:
    """Return the revisions that the database is at; none if this user may not read them."""
    if not dialect_of(connection).schema.may_read_revision(connection):
        return ()
    return context_of(connection).get_current_heads()
