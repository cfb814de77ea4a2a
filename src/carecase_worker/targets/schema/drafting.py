"""Drafts of migrations, for developers who change the tables: differences of the newest revision from the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine

from carecase_worker.targets.schema.differences import faults_of
from carecase_worker.targets.schema.revisions import alembic_config, context_of, scripts


def lacking() -> list[str]:
    """Return what the newest revision lacks, a line each; empty if it creates the current tables."""
    with _migrated() as (_, connection):
        return list(faults_of(context_of(connection)))


def draft_revision(message: str) -> Path | None:
    """Write the next migration beside the others; return its path, or None if the newest revision lacks nothing.

    Alembic generates it from what an empty database lacks after all migrations.
    """
    if not lacking():
        return None
    number = int(scripts().get_current_head() or 0) + 1
    with _migrated() as (config, _):
        drafted = command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")
    return Path(drafted.path) if drafted and not isinstance(drafted, list) else None


@contextmanager
def _migrated() -> Iterator[tuple[Config, Connection]]:
    """Migrate an in-memory database; yield it, and the Alembic configuration for it."""
    config = alembic_config()
    with create_engine("sqlite://").connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        yield config, connection
