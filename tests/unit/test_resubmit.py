"""The record of a retry: it is void if what it tells of did not take place, and stays if nobody knows."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from carecase_worker.audit.records import Event
from carecase_worker.errors import CareCaseError, JobConflict, StoreUnavailable
from carecase_worker.intake.jobs.resubmit import admitted
from carecase_worker.store.operations.admission import Admission, Admitted

MINE = "0199c0de-0000-7000-8000-000000000002"
RECORDED, VOID = (Event.RETRIED, "demo", MINE, 7), ("void", "demo", MINE)


class Audited:
    """An audit trail that keeps what it is told."""

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, ...]] = []

    def record(self, *arguments: Any) -> None:
        self.recorded.append(arguments)

    def void(self, *arguments: Any) -> None:
        self.recorded.append(("void", *arguments))


def recorded_with(admit: Any) -> tuple[list[tuple[Any, ...]], object]:
    """What is recorded of a batch of seven items, and how its admission ends."""
    audited, draft = Audited(), SimpleNamespace(job_id=MINE, total=7, admit=admit)
    try:
        ended: object = admitted(cast(Any, audited), Event.RETRIED, "demo", cast(Any, draft), "digest")
    except CareCaseError as error:
        ended = error
    return audited.recorded, ended


def test_a_batch_that_becomes_a_job_is_recorded() -> None:
    admission = Admission(Admitted.ADMITTED, MINE)
    assert recorded_with(lambda _: admission) == ([RECORDED], admission)


def test_a_batch_that_another_request_has_sent_meanwhile_is_void() -> None:
    admission = Admission(Admitted.KNOWN, "0199c0de-0000-7000-8000-000000000001")
    assert recorded_with(lambda _: admission) == ([RECORDED, VOID], admission)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(JobConflict("It is gone."), [RECORDED, VOID]), (StoreUnavailable("It may have been admitted."), [RECORDED])],
)
def test_a_batch_that_is_refused_is_void_unless_it_may_have_been_admitted(
    fault: CareCaseError, expected: list[tuple[Any, ...]]
) -> None:
    def admit(_: str) -> Admission:
        raise fault

    assert recorded_with(admit) == (expected, fault)
