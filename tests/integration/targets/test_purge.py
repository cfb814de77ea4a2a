"""Ledger rows go once no attempt can ask for them; younger ones stay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert, select
from tests.integration.targets.grounds import GROUNDS
from tests.services import Services

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.purge import purge_ledger
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.tables import INGEST_LEDGER
from carecase_worker.targets.tenants import Tenant


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_old_rows_are_purged(servers: Services, tmp_path: Path, dialect: str) -> None:
    url = GROUNDS[dialect].empty(servers, tmp_path)
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
