"""The ledger: which chunks have been applied, with the outcome of each of their items."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from carecase_worker.cases.outcomes import Outcome, pack_outcomes, unpack_outcomes
from carecase_worker.targets.tables import INGEST_LEDGER


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """The key of a chunk in the ledger."""

    job_id: UUID
    chunk_no: int


Rows = Sequence[tuple[LedgerKey, Sequence[Outcome]]]
"""Chunks with the outcomes of their items."""


class AlreadyAppliedError(Exception):
    """Another attempt has already written the ledger row."""


_OUTCOME = select(INGEST_LEDGER.c.outcome).where(
    INGEST_LEDGER.c.job_id == bindparam("the_job"), INGEST_LEDGER.c.chunk_no == bindparam("the_chunk")
)
_RECORDED = select(INGEST_LEDGER.c.job_id, INGEST_LEDGER.c.chunk_no).where(
    INGEST_LEDGER.c.job_id.in_(bindparam("the_jobs", expanding=True))
)
_INSERT_LEDGER = insert(INGEST_LEDGER)


def record(connection: Connection, rows: Rows) -> None:
    """Add rows to the ledger. Raises AlreadyAppliedError if one of them exists; the transaction has then failed."""
    values = [
        {"job_id": key.job_id, "chunk_no": key.chunk_no, "outcome": pack_outcomes(outcomes)} for key, outcomes in rows
    ]
    try:
        connection.execute(_INSERT_LEDGER, values)
    except IntegrityError:
        raise AlreadyAppliedError from None


def recorded_outcomes(connection: Connection, key: LedgerKey) -> list[Outcome]:
    """Read the outcomes of a chunk that is in the ledger."""
    row = connection.execute(_OUTCOME, {"the_job": key.job_id, "the_chunk": key.chunk_no})
    return unpack_outcomes(row.scalar_one())


def recorded(connection: Connection, keys: Collection[LedgerKey]) -> set[LedgerKey]:
    """Return the keys of all chunks in the ledger of the same jobs."""
    jobs = list({key.job_id for key in keys})
    return {LedgerKey(*row) for row in connection.execute(_RECORDED, {"the_jobs": jobs})}
