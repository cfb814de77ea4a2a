"""A batch that is applied as a worker does."""

from uuid import uuid4

from tests.builders import a_batch, a_lease
from tests.integration.targets.databases import engine_at, tenant

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.worker.attempts.planning import plan_chunk


def write(url: str, options: str, *cases: dict[str, object]) -> list[Outcome]:
    """Apply a batch as a worker does."""
    key = LedgerKey(uuid4(), 0)
    lease = a_lease(key.job_id)
    with engine_at(url, options) as engine:
        targets = Targets({"d": tenant(engine.url.render_as_string(hide_password=False))})
        try:
            return targets.writer("d").write(key, plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease))
        finally:
            targets.disconnect("d")
