"""A PostgreSQL that refuses connections for a while."""

from sqlalchemy import create_engine, text
from tests.acceptance.system import System


def allow_connections(system: System, allowed: bool) -> None:
    """Have PostgreSQL refuse connections to `demo`, and end those that are, or allow them again."""
    server = system.stack["databases"]["demo"]["url"].removesuffix("demo") + "postgres"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"ALTER DATABASE demo ALLOW_CONNECTIONS {allowed}"))
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'demo'"))
    engine.dispose()
