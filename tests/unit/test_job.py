"""A job as its record has it."""

from datetime import UTC, datetime, timedelta

import pytest

from carecase_worker.clock import from_epoch_us
from carecase_worker.store.job import COUNTS, Job, State, job_from_record

READ_AT = datetime(2026, 11, 26, 8, tzinfo=UTC)
RECORD = {
    "client": "ann",
    "user": "her token",
    "database": "demo",
    "care_plan": "-5",
    "seq": "1764000000123",
    "accepted_us": "1764000000120456",
    "unsettled": "1",
    "state": "completed",
    "total": "7",
    "created": "1",
    "updated": "2",
    "superseded": "1",
    "failed": "1",
    "cancelled": "2",
    "firsts": "0,3,5",
    "sha256": "f" * 64,
    "strict": "1",
    "started_us": "1764000001000001",
    "finished_us": "1764000002000002",
    "expires_ms": "1764000003003",
}


def at(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def test_a_job_is_what_its_record_says() -> None:
    assert job_from_record("j", RECORD, READ_AT) == Job(
        job_id="j",
        client="ann",
        user="her token",
        database="demo",
        care_plan=-5,
        seq=1764000000123,
        unsettled=True,
        state=State.COMPLETED,
        total=7,
        counts={"created": 1, "updated": 2, "superseded": 1, "failed": 1, "cancelled": 2},
        chunk_firsts=(0, 3, 5),
        chunks=3,
        body_sha256="f" * 64,
        strict=True,
        submitted_at=at(1764000000120456),
        started_at=at(1764000001000001),
        finished_at=at(1764000002000002),
        expires_at=at(1764000003003000),
        read_at=READ_AT,
    )


def test_a_job_that_has_only_been_accepted_has_no_more_than_that() -> None:
    later = {*COUNTS, "started_us", "finished_us", "expires_ms"}
    record = {name: value for name, value in RECORD.items() if name not in later}
    job = job_from_record("j", record | {"care_plan": "", "unsettled": "0", "strict": "0", "state": "queued"}, READ_AT)
    assert (job.started_at, job.finished_at, job.expires_at, job.care_plan) == (None, None, None, None)
    assert (job.unsettled, job.strict, job.processed, job.expired) == (False, False, 0, False)
    assert job.counts == dict.fromkeys(("created", "updated", "superseded", "failed", "cancelled"), 0)


def test_an_older_version_noted_milliseconds_and_its_place_for_the_time_of_acceptance() -> None:
    newer = {"accepted_us", "unsettled", "strict", "started_us", "finished_us", "firsts"}
    record = {name: value for name, value in RECORD.items() if name not in newer}
    job = job_from_record("j", record | {"started_ms": "1764000001001", "finished_ms": "1764000002002"}, READ_AT)
    assert job.submitted_at == at(1764000000123000)
    assert (job.started_at, job.finished_at) == (at(1764000001001000), at(1764000002002000))
    assert (job.unsettled, job.strict, job.chunk_firsts) == (False, False, ())


def test_each_chunk_has_its_places() -> None:
    job = job_from_record("j", RECORD, READ_AT)
    assert [job.places_of(number) for number in range(3)] == [range(3), range(3, 5), range(5, 7)]
    assert job.processed == 7


@pytest.mark.parametrize(("later_us", "expired"), [(-1, False), (0, True), (1, True)])
def test_a_job_expires_when_it_says(later_us: int, expired: bool) -> None:
    read_at = from_epoch_us(1764000003003000 + later_us)
    assert job_from_record("j", RECORD, read_at).expired is expired


def test_two_states_are_final() -> None:
    assert [state.value for state in State if state.final] == ["completed", "cancelled"]
