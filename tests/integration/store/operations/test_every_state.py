"""Each operation changes a job only as the model says, whatever state the job is in.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

import pytest
from tests.integration.store.beside import Beside


@pytest.mark.parametrize("operation", ["claim", "complete", "release", "cancel", "admit", "reclaim"])
@pytest.mark.parametrize("state", ["queued", "running", "waiting", "cancelling", "completed", "cancelled"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("later_ms", [0, 3_600_000, 7_200_000])
def test_every_operation_from_every_state(
    beside: Beside, operation: str, state: str, last: bool, later_ms: int
) -> None:
    """On a chunk that is leased where it can be, and is the last one or not; another job is to be placed.

    Later, the result of a final job is gone, and then the job.
    """
    batch = beside.admitted("a", (1,) if last else (1, 1))
    beside.admitted("b", (1,) * 3, care_plan="5")
    if state != "queued":
        beside.claim("a", 0, "w")
    if state == "waiting":
        beside.release("a", 0, "w", open_circuit_ms=0)
    if state in ("cancelling", "cancelled"):
        beside.cancel("a")
    if state in ("completed", "cancelled"):
        for n in range(len(batch.sizes)):
            beside.complete("a", n, counts={"cancelled" if state == "cancelled" else "created": 1})
    assert beside.model.jobs["a"].state == state
    beside.elapse(later_ms)
    match operation:
        case "claim":
            beside.claim("a", 0, "w")
        case "complete":
            beside.complete("a", 0, "w", counts={"cancelled": 1})
        case "release":
            beside.release("a", 0, "w")
        case "cancel":
            beside.cancel("a")
        case "reclaim":
            beside.reclaim("w")
        case _:
            beside.stage(batch, 0)
            beside.admit(batch)
