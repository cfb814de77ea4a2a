"""Plain Celery, as its worker loads it: a task for each case, or for a thousand."""

import os
from functools import cache
from typing import Any

import msgspec
from celery import Celery
from sqlalchemy import Engine, create_engine

from bench.cases import rows_of
from bench.contestants.core import upsert

BROKER, DATABASE = "BENCH_BROKER_URL", "BENCH_DATABASE_URL"

app = Celery("bench", broker=os.environ.get(BROKER))
app.conf.update(
    task_ignore_result=True,
    broker_transport_options={"global_keyprefix": "bench:"},
    broker_connection_retry_on_startup=True,
)


@cache
def _engine() -> Engine:
    return create_engine(os.environ[DATABASE])


@app.task(name="bench.apply")
def apply(cases: list[dict[str, Any]]) -> None:
    """Validate cases and upsert them in a transaction."""
    upsert(_engine(), rows_of(msgspec.json.encode(cases)))
