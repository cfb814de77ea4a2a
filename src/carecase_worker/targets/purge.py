"""Old rows of the ledger: taken out once no attempt can ask for them any more."""

from datetime import datetime

from sqlalchemy import Engine, delete, select, tuple_
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.targets.causes import failure_of
from carecase_worker.targets.tables import INGEST_LEDGER

_AT_ONCE = 2000
_KEY = (INGEST_LEDGER.c.job_id, INGEST_LEDGER.c.chunk_no)


def purge_ledger(engine: Engine, before: datetime) -> int:
    """Delete the rows of chunks applied before a moment, some at a time; how many there were. Raises TargetFailure."""
    old = select(*_KEY).where(INGEST_LEDGER.c.applied_at < before).limit(_AT_ONCE)
    purged = 0
    try:
        while True:
            with engine.begin() as connection:
                keys = [tuple(row) for row in connection.execute(old)]
                if not keys:
                    return purged
                connection.execute(delete(INGEST_LEDGER).where(tuple_(*_KEY).in_(keys)))
                purged += len(keys)
    except SQLAlchemyError as error:
        raise failure_of(error) from None
