"""Purge of ledger rows that no attempt needs any more."""

from datetime import timedelta

from sqlalchemy import Engine, bindparam, delete, func, select, tuple_

from carecase_worker.targets.failures import errors_as_failures
from carecase_worker.targets.tables import INGEST_LEDGER

_AT_ONCE = 2000
_KEY = (INGEST_LEDGER.c.job_id, INGEST_LEDGER.c.chunk_no)
_NOW = select(func.now())
_OLD = select(*_KEY).where(INGEST_LEDGER.c.applied_at < bindparam("before")).limit(_AT_ONCE)


def purge_ledger(engine: Engine, keep: timedelta) -> int:
    """Delete the rows of chunks applied longer ago than `keep`, some at a time; return their number.

    Age is measured by the database's own clock, which also dated the rows. Raises TargetFailure.
    """
    purged = 0
    while True:
        with errors_as_failures(engine), engine.begin() as connection:
            before = connection.execute(_NOW).scalar_one() - keep
            keys = [tuple(row) for row in connection.execute(_OLD, {"before": before})]
            if not keys:
                return purged
            connection.execute(delete(INGEST_LEDGER).where(tuple_(*_KEY).in_(keys)))
            purged += len(keys)
