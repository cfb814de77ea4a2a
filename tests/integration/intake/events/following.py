"""Jobs whose chunks are committed one by one, and the runs of items that events name."""

from tests.builders import a_case
from tests.event_streams import SentEvent
from tests.integration.intake.intakes import Intake

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.outcomes import CREATED, Outcome
from carecase_worker.store.operations.claims import ChunkResult

CHUNK, CHUNKS = 3, 4


def a_job(intake: Intake) -> str:
    return intake.send(*(a_case(key) for key in range(1, CHUNK * CHUNKS + 1)))


def commit(intake: Intake, job_id: str, number: int, outcome: Outcome = CREATED) -> None:
    """Commit a chunk in one step, as far as anybody sees who follows the job."""
    keys = [CHUNK * number + place + 1 for place in range(CHUNK)]
    packed = pack_done(ChunkOutcomes(keys, [outcome] * CHUNK))
    intake.store.leases.complete(ChunkRef(job_id, number), ChunkResult(packed, {outcome.kind.counted_as: CHUNK}))


def finish(intake: Intake, job_id: str) -> None:
    for number in range(CHUNKS):
        commit(intake, job_id, number)


def runs_of(events: list[SentEvent]) -> list[tuple[int, int, int]]:
    return [
        (run["index"], run["count"], run["status"]) for event in events if event.name == "outcomes"
        for run in event.data["runs"]
    ]  # fmt: skip
