"""Alembic environment: migrate the connection passed by `migration.py`."""

from alembic import context
from sqlalchemy import Connection

from carecase_worker.targets.tables import METADATA, VERSION_TABLE


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=METADATA, version_table=VERSION_TABLE)
    with context.begin_transaction():
        context.run_migrations()


_migrate(context.config.attributes["connection"])
