"""Execution of the plan of a leased chunk: written with its ledger row or, in a dry run, rolled back."""

from uuid import UUID

from carecase_worker.cases.outcomes import REFUSED
from carecase_worker.store.operations.claims import ChunkResult, Lease
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.worker.attempts.planning import to_chunk_result


def written(targets: Targets, lease: Lease, plan: WritePlan) -> ChunkResult:
    """Write a plan, or for a dry run write it and roll back; return the outcomes. Raises TargetFailure.

    The lease says if it is a dry run, from the job's record; the notification never does. A dry run leaves no
    tombstone: with nothing to write, the database is not accessed.
    """
    if not lease.dry_run:
        return to_chunk_result(plan, targets.writer(lease.database).write(ledger_key(lease), plan))
    if not plan.waves:
        return to_chunk_result(plan, [outcome or REFUSED for outcome in plan.decided], database_answered=False)
    return to_chunk_result(plan, targets.writer(lease.database).dry_run(plan))


def ledger_key(lease: Lease) -> LedgerKey:
    """Return the key of a leased chunk in the ledger."""
    return LedgerKey(UUID(lease.chunk.job_id), lease.chunk.chunk_no)
