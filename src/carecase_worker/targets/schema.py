"""The schema of a target database: bring it up to date, or tell what it lacks."""

from importlib import resources

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.errors import TargetFailure
from carecase_worker.targets.failures import kind_of
from carecase_worker.targets.tables import METADATA, VERSION_TABLE

_OUR_TABLES = frozenset(METADATA.tables)
_LOCK = 0x63617265


def upgrade(engine: Engine) -> None:
    """Migrate to the newest revision, one process at a time. Raises TargetFailure."""
    config = _config()
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise TargetFailure(kind_of(error)) from None


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


def lacks(engine: Engine) -> list[str]:
    """What the schema lacks, a line each; empty if it fits. Raises TargetFailure."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"version_table": VERSION_TABLE, "include_object": _is_ours}
            )
            revision = context.get_current_revision()
            differences = compare_metadata(context, METADATA)
    except SQLAlchemyError as error:
        raise TargetFailure(kind_of(error)) from None
    lines = [] if revision == head else [f"it is at revision {revision or 'none'}, not {head}: run carecase db upgrade"]
    return lines + [f"it differs: {_words(difference)}" for difference in differences]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("carecase_worker.targets") / "migrations"))
    return config


def _is_ours(_: object, name: str | None, kind: str, *__: object) -> bool:
    return kind != "table" or name in _OUR_TABLES


def _words(difference: object) -> str:
    """The verb and the names of one of Alembic's differences."""
    flat = difference[0] if isinstance(difference, list) else difference
    parts = flat if isinstance(flat, tuple) else (flat,)
    return " ".join(getattr(part, "name", None) or str(part) for part in parts[:1] + parts[-1:])
