"""Small batches take one transaction, and each is written as if it had come alone."""

from tests.builders import a_case
from tests.integration.worker.groups.small_batches import Accepted, Transactions

from carecase_worker.cases.outcomes import (
    CREATED,
    UPDATED,
)
from carecase_worker.store.job import State
from carecase_worker.targets.case_versions import version_of


def test_small_batches_take_one_transaction(accepted: Accepted) -> None:
    for key in range(20):
        accepted.accept(a_case(key), a_case(100))
    accepted.targets.step = commits = Transactions()
    assert accepted.attempt() == "kept"
    assert commits.count == 1
    assert [accepted.outcomes_of(job) for job in accepted.jobs] == [[CREATED, CREATED]] + [[CREATED, UPDATED]] * 19
    assert (accepted.count("care_case"), accepted.count("ingest_ledger")) == (21, 20)
    assert accepted.store.workload.due_count("demo") == 0
    assert accepted.store.workload.backlog("demo") == (0, 0)


def test_each_batch_of_a_group_is_written_with_its_own_user_time_and_versions(accepted: Accepted) -> None:
    batches = {"ann": (9, 3, 7), "bob": (1,), "cy": (8, 2)}
    jobs = {
        user: accepted.accept(*map(a_case, keys), a_case(100 + keys[0], entry_User="given"), user=user)
        for user, keys in batches.items()
    }
    accepted.targets.step = commits = Transactions()
    accepted.attempt()
    assert commits.count == 1
    written = {
        key: (version, entry_version, entry_user, update_user)
        for key, *(version, entry_version, entry_user, update_user) in accepted.targets.rows(
            "SELECT case_key, ingest_version, entry_version, entry_user, update_user FROM care_case"
        )
    }
    moments = dict(accepted.targets.rows("SELECT case_key, entry_date FROM care_case"))
    for user, keys in batches.items():
        job = accepted.store.jobs.job(jobs[user])
        for place, key in enumerate(keys):
            version = version_of(job.seq, place)
            assert written[key] == (version, version, user, user)
            assert moments[key] == moments[keys[0]]
    given = "SELECT DISTINCT entry_user FROM care_case WHERE case_key > 100"
    assert accepted.targets.rows(given) == [("given",)]


def test_a_group_has_no_more_items_than_a_chunk(accepted: Accepted) -> None:
    """A thousand, of which two batches that fill half of it each take all."""
    for key in range(3):
        accepted.accept(a_case(key), weight=500)
    accepted.attempt()
    assert [accepted.store.jobs.job(job).state for job in accepted.jobs] == [State.COMPLETED] * 2 + [State.QUEUED]
