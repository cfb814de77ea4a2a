"""The migration of a target database to this version's schema, one process at a time."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.errors import SchemaRefused
from carecase_worker.targets.dialects.registry import dialect_of, dialect_of_url
from carecase_worker.targets.failures import errors_as_failures
from carecase_worker.targets.schema.revisions import alembic_config
from carecase_worker.targets.schema.state import SchemaState, state_of
from carecase_worker.targets.tables import METADATA, VERSION_TABLE


def upgrade(engine: Engine) -> None:
    """Migrate to the newest revision, one process at a time. Raises TargetFailure, or SchemaRefused."""
    config, access = alembic_config(), dialect_of(engine).schema
    access.make(engine)
    with errors_as_failures(engine), engine.begin() as connection:
        access.begin_migration(connection)
        found = state_of(connection)
        _refuse_what_is_not_ours_to_change(found)
        config.attributes["connection"] = connection
        if found.current or not _has_our_tables(connection):
            command.upgrade(config, "head")
        else:
            _adopt(found, config)


def create_database(server_url: str, name: str) -> bool:
    """Create a database on a server unless it exists. False if the server does not respond yet."""
    access = dialect_of_url(make_url(server_url)).schema
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT", hide_parameters=True)
    try:
        with engine.connect() as connection:
            access.create_database(connection, name)
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()
    return True


def _refuse_what_is_not_ours_to_change(found: SchemaState) -> None:
    if found.is_newer:
        usable = "; this version works with it" if not found.faults else ""
        raise SchemaRefused(
            f"the schema is at revision {found.revision}, newer than this version's {found.wanted}, so"
            f" this version does not change it{usable}"
        )
    if len(found.current) > 1:
        raise SchemaRefused(
            f"the schema is at several revisions at once, {found.revision}: keep only the right one in {VERSION_TABLE}"
        )


def _adopt(found: SchemaState, config: Config) -> None:
    """Record this version's revision for tables that match it, such as after a restore without the revision table."""
    if found.faults:
        raise SchemaRefused(
            f"the schema has no revision, and its tables differ from this version's ({found.faults[0]}):"
            f" restore {VERSION_TABLE} with the tables, or rename them"
        )
    command.stamp(config, "head")


def _has_our_tables(connection: Connection) -> bool:
    return bool(METADATA.tables.keys() & set(inspect(connection).get_table_names()))
