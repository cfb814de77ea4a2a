"""Dry runs and real ones of chunks at a database."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, text
from tests.builders import a_batch, a_lease

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import (
    Outcome,
)
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk

MOMENT = "2026-01-02T03:04:05.678900+00:00"
WRITTEN = {
    "postgresql": "SELECT xmin::text, ctid::text, care_case::text FROM care_case ORDER BY case_key",
    "sqlite": "SELECT rowid, * FROM care_case ORDER BY case_key",
}
"""What a database holds of the cases; on PostgreSQL with who wrote a row, and where it lies."""


def made(url: str) -> Iterator[Engine]:
    engine = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    upgrade(engine)
    yield engine
    pool: Any = engine.pool
    assert pool.checkedout() == 0, "a connection was not given back"
    engine.dispose()


def writer_at(engine: Engine) -> Writer:
    return Writer(engine, dialect_of(engine).writing.upsert)


def plan_of(*cases: Any, dry_run: bool = False, seq: int = 1, **lease: Any) -> WritePlan:
    return plan_chunk(Chunk(0, len(cases), a_batch(*cases)), a_lease(uuid4(), seq=seq, dry_run=dry_run, **lease))


def apply(engine: Engine, *cases: Any, seq: int = 1, **lease: Any) -> list[Outcome]:
    return writer_at(engine).write(LedgerKey(uuid4(), 0), plan_of(*cases, seq=seq, **lease))


def rehearse(engine: Engine, *cases: Any, **lease: Any) -> list[Outcome]:
    """A dry run, which leaves everything as it was."""
    before = contents(engine)
    outcomes = writer_at(engine).dry_run(plan_of(*cases, dry_run=True, **lease))
    assert contents(engine) == before
    return outcomes


def contents(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        cases = connection.execute(text(WRITTEN[engine.dialect.name])).all()
        return [*cases, *connection.execute(text("SELECT job_id, chunk_no FROM ingest_ledger ORDER BY 1, 2")).all()]
