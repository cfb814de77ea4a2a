"""The supported dialects. No other module depends on a dialect's name."""

from sqlalchemy import URL, Connection, Engine

from carecase_worker.targets.dialects.dialect import Dialect
from carecase_worker.targets.dialects.postgresql.dialect import POSTGRESQL
from carecase_worker.targets.dialects.sqlite.dialect import SQLITE

DIALECTS = {dialect.name: dialect for dialect in (POSTGRESQL, SQLITE)}
"""Every dialect by its name."""


def dialect_of(bound: Engine | Connection) -> Dialect:
    """Return the dialect of an engine or a connection."""
    return DIALECTS[bound.dialect.name]


def dialect_of_url(url: URL) -> Dialect:
    """Return the dialect of a URL, which the settings have validated."""
    return DIALECTS[url.get_backend_name()]
