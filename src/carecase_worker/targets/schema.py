"""The schema of a target database: its migration, and its comparison with what this version needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.errors import FailureKind, SchemaRefused, TargetFailure
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.differences import faults_of
from carecase_worker.targets.failures import failure_of
from carecase_worker.targets.sqlite_file import lacks_file, make_file
from carecase_worker.targets.tables import METADATA, VERSION_TABLE

_LOCK = 0x63617265


@dataclass(frozen=True, slots=True)
class SchemaState:
    """A database's schema compared with this version: both revisions, and the faults."""

    wanted: str
    held: tuple[str, ...]
    known: bool
    faults: tuple[str, ...]

    @property
    def revision(self) -> str:
        """The database's revision, as people read it."""
        return " and ".join(self.held) or "none"

    @property
    def is_newer(self) -> bool:
        """True if it was made by a version that this one does not know."""
        return len(self.held) == 1 and not self.known

    @property
    def summary(self) -> str:
        """The words for a schema that this version can work with."""
        newer = f"it is at revision {self.revision}, newer than this version's {self.wanted}, and only adds to it"
        return f"fits ({newer})" if self.is_newer else "fits"

    def schema_differences(self) -> list[str]:
        """Return what keeps this version from working with the schema, a line each; empty if it can."""
        lines = [f"it {fault}" for fault in self.faults]
        if self.is_newer and lines:
            newer = f"it is at revision {self.revision}, newer than this version's {self.wanted}"
            return [f"{newer}, which cannot work with it: run the newer version", *lines]
        if not self.is_newer and self.held != (self.wanted,):
            return [f"it is at revision {self.revision}, not {self.wanted}: run carecase db upgrade", *lines]
        return lines


def upgrade(engine: Engine) -> None:
    """Migrate to the newest revision, one process at a time. Raises TargetFailure, or SchemaRefused."""
    config = _config()
    make_file(engine)
    with _told_as_failure(), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            _wait_for_turn(connection)
        found = _state(connection)
        _refuse_what_is_not_ours_to_change(found)
        config.attributes["connection"] = connection
        if found.held or not _has_our_tables(connection):
            command.upgrade(config, "head")
        else:
            _adopt(found, config)


def state(engine: Engine) -> SchemaState:
    """Compare the schema of a database with this version. Raises TargetFailure."""
    if lacks_file(engine):
        engine = create_engine("sqlite://")  # as empty as the missing file, which is not made
    with _told_as_failure(), engine.connect() as connection:
        return _state(connection)


def schema_differences(engine: Engine) -> list[str]:
    """Return what the schema lacks, a line each; empty if this version can work with it. Raises TargetFailure."""
    return state(engine).schema_differences()


def require_fitting(engine: Engine) -> None:
    """Raise TargetFailure unless this version can work with the schema.

    It is one short query if the revision is this version's; a schema of another one is compared in full.
    """
    with _told_as_failure(), engine.connect() as connection:
        held = _context(connection).get_current_heads() if _may_read_revision(connection) else ()
        if held != (_scripts().get_current_head(),) and _state(connection).faults:
            raise TargetFailure(FailureKind.AWAY, cause=Causes.SCHEMA.value)


def create_database(server_url: str, name: str) -> bool:
    """Make a database on a PostgreSQL server unless it is there. False if the server does not answer yet."""
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT", hide_parameters=True)
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).scalar()
            if not found:
                quoted = engine.dialect.identifier_preparer.quote(name)
                connection.execute(text(f"CREATE DATABASE {quoted}"))
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()
    return True


@contextmanager
def _told_as_failure() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise failure_of(error) from None


def _state(connection: Connection) -> SchemaState:
    _work_in_first_schema_only(connection)
    _touch(connection)
    context, scripts = _context(connection), _scripts()
    held = tuple(sorted(context.get_current_heads())) if _may_read_revision(connection) else ()
    known = {script.revision for script in scripts.walk_revisions()}
    return SchemaState(scripts.get_current_head() or "", held, known.issuperset(held), tuple(faults_of(context)))


def _wait_for_turn(connection: Connection) -> None:
    """Wait until no other process migrates, for as long as that takes.

    The migration itself may take longer than a worker's timeouts allow, but waits for a lock no longer than a worker
    would: other sessions that want the same table queue behind it.
    """
    held = connection.execute(text("SELECT current_setting('lock_timeout')")).scalar()
    for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text("SELECT set_config(:limit, '0', true)"), {"limit": limit})
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text("SELECT set_config('lock_timeout', :held, true)"), {"held": held})


def _work_in_first_schema_only(connection: Connection) -> None:
    """Leave the rest of the search path out of this transaction: it is not this database's schema."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('search_path', quote_ident(current_schema()), true)"))


def _touch(connection: Connection) -> None:
    """Write back an unchanged value to an SQLite file: nothing else shows that it is read-only."""
    if connection.dialect.name == "sqlite":
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")


def _may_read_revision(connection: Connection) -> bool:
    """Return whether this user may read the table of revisions; a worker's user need not."""
    if connection.dialect.name != "postgresql":
        return True
    asked = text("SELECT has_table_privilege(to_regclass(:table), 'SELECT')")
    return connection.execute(asked, {"table": VERSION_TABLE}).scalar() is not False


def _refuse_what_is_not_ours_to_change(found: SchemaState) -> None:
    if found.is_newer:
        usable = "; this version works with it" if not found.faults else ""
        raise SchemaRefused(
            f"the schema is at revision {found.revision}, which is newer than this version's {found.wanted}"
            f" and not for it to change{usable}"
        )
    if len(found.held) > 1:
        raise SchemaRefused(
            f"the schema is at several revisions at once, {found.revision}: leave the right one in {VERSION_TABLE}"
        )


def _adopt(found: SchemaState, config: Config) -> None:
    """Note this version's revision for tables that are as it makes them, as after a restore without the revision."""
    if found.faults:
        raise SchemaRefused(
            f"the schema has our tables, though not as this version makes them ({found.faults[0]}), and no revision:"
            f" restore {VERSION_TABLE} with them, or rename them"
        )
    command.stamp(config, "head")


def _has_our_tables(connection: Connection) -> bool:
    return bool(METADATA.tables.keys() & set(inspect(connection).get_table_names()))


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("carecase_worker.targets") / "migrations"))
    return config
