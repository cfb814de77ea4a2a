"""Ledger rows go once no attempt can ask for them; younger ones stay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert, select
from tests.services import Services

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.purge import purge_ledger
from carecase_worker.targets.schema import upgrade
from carecase_worker.targets.tables import INGEST_LEDGER
from carecase_worker.targets.tenants import Tenant


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_only_old_rows_are_purged(servers: Services, tmp_path: Path, dialect: str) -> None:
    url = servers.postgres_url if dialect == "postgresql" else f"sqlite:///{tmp_path / 'cases.sqlite'}"
    engine = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    upgrade(engine)
    now = datetime.now(UTC)
    rows = [
        {"job_id": uuid4(), "chunk_no": n, "outcome": b"o", "applied_at": now - timedelta(days=10 if n < 4500 else 1)}
        for n in range(4510)
    ]
    with engine.begin() as connection:
        connection.execute(INGEST_LEDGER.delete())
        connection.execute(insert(INGEST_LEDGER), rows)
        connection.execute(insert(INGEST_LEDGER), {"job_id": uuid4(), "chunk_no": 0, "outcome": b"by default now"})
    assert purge_ledger(engine, timedelta(days=8)) == 4500
    with engine.connect() as connection:
        left = {row.chunk_no for row in connection.execute(select(INGEST_LEDGER.c.chunk_no))}
    assert left == {0, *range(4500, 4510)}
    assert purge_ledger(engine, timedelta(days=8)) == 0
    engine.dispose()
