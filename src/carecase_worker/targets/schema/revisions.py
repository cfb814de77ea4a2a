"""Revisions of the schema: those of this version, and those of a database."""

from importlib import resources

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from carecase_worker.targets.tables import VERSION_TABLE


def context_of(connection: Connection) -> MigrationContext:
    """Return Alembic's view of a database."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})


def scripts() -> ScriptDirectory:
    """Return the migrations of this version."""
    return ScriptDirectory.from_config(alembic_config())


def alembic_config() -> Config:
    """Return the settings of Alembic: the migrations beside this module."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("carecase_worker.targets.schema") / "migrations"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")  # a module's name begins with no digit
    return config
