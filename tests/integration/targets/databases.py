"""Databases of a test's own on the PostgreSQL of the whole run, and engines as the service makes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

from sqlalchemy import Engine, create_engine, text
from tests.builders import a_batch, a_case, a_lease
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.settings.loading import load
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.schema.migration import create_database
from carecase_worker.targets.tenants import Tenant, tenants_of
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.worker.attempts.planning import plan_chunk

_numbers = count(1)


def a_database(servers: Services) -> str:
    """The URL of a new, empty database."""
    name = f"own_{next(_numbers)}"
    assert create_database(servers.postgres_url, name)
    return servers.postgres_url.removesuffix("demo") + name


def tenant(url: str, **settings: str) -> Tenant:
    """A tenant as the configuration makes it."""
    named = {f"CARECASE_DATABASES_D_{name}": value for name, value in settings.items()}
    return tenants_of(load(environment={"CARECASE_DATABASES_D_URL": url, **named}).databases)["d"]


@contextmanager
def engine_at(url: str, options: str = "", **settings: str) -> Iterator[Engine]:
    """The engine of a tenant, with libpq's `options` in its URL."""
    engine = engine_for(tenant(f"{url}?options={quote_plus(options)}" if options else url, **settings))
    yield engine
    engine.dispose()


def run(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def write(url: str, seq: int = 1) -> list[Outcome]:
    """Apply a case as a worker does."""
    targets, key = Targets({"d": tenant(url)}), LedgerKey(uuid4(), 0)
    lease = a_lease(key.job_id, seq=seq)
    try:
        return targets.writer("d").write(key, plan_chunk(Chunk(0, 1, a_batch(a_case(1))), lease))
    finally:
        targets.disconnect("d")


def run_all(engine: Engine, *statements: str) -> None:
    """Run statements in one transaction of the service's own engine."""
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


BAD = 7
"""The key of the case that is refused where a test says no more."""


def refusing(statements: str, when: str = f"NEW.case_key = {BAD}") -> tuple[str, ...]:
    """A trigger that runs PL/pgSQL statements on some rows."""
    return (
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {when} THEN {statements} END IF; RETURN NEW; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON care_case FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def raising(state: str) -> str:
    return f"RAISE EXCEPTION 'no' USING ERRCODE = '{state}';"


def ask(engine: Engine, statement: str) -> Any:
    """The single value that a query gives."""
    with engine.connect() as connection:
        return connection.execute(text(statement)).scalar_one()
