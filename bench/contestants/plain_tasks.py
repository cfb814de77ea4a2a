"""The plain way's worker, as Celery loads it: a task has the cases in its message, and its result is kept."""

import os
from functools import cache
from typing import Any

import msgspec
from celery import Celery
from sqlalchemy import Engine, create_engine

from bench.cases import rows_of
from bench.contestants.core import upsert
from bench.contestants.tasks import BROKER, DATABASE

app = Celery("plain", broker=os.environ.get(BROKER), backend=os.environ.get(BROKER))
app.conf.update(
    broker_transport_options={"global_keyprefix": "plain:"},
    result_backend_transport_options={"global_keyprefix": "plain:"},
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
)


@cache
def _engine() -> Engine:
    return create_engine(os.environ[DATABASE])


@app.task(name="plain.apply")
def apply(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Validate cases and upsert them in a transaction; a status for each."""
    upsert(_engine(), rows_of(msgspec.json.encode(cases)))
    return [{"key": case["case_Key"], "status": 200} for case in cases]
