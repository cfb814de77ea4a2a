"""`carecase keys rewrap`: a key can be destroyed, and takes with it what was deleted, but nothing that is wanted."""

import base64
from collections.abc import Callable
from itertools import count

import pytest
import redis
from tests.builders import a_case
from tests.integration.cli.commands import Carecase, Ran
from tests.integration.intake.intakes import KEYS as API_KEYS
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import Kind, Seals
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.outcomes import CREATED
from carecase_worker.errors import PayloadUnreadable
from carecase_worker.store.job import Job
from carecase_worker.store.operations.claims import ChunkResult

OLD, NEW = bytes(32), bytes(range(32))
_numbers = count()


def key(name: str, raw: bytes) -> str:
    return f"{name}:{base64.b64encode(raw).decode()}"


BOTH = f"{key('new', NEW)},{key('old', OLD)}"


def a_final_job(intake: Intake, number: int, **headers: str) -> Job:
    """A job that is over, of one case, sent with an Idempotency-Key."""
    job_id = intake.send(a_case(number), **{"Idempotency-Key": f"key {number}", **headers})
    job, ref = intake.store.jobs.job(job_id), ChunkRef(job_id, 0)
    packed = pack_done(ChunkOutcomes([number], [CREATED]))
    sealed = Seals({"old": OLD}).opened(job.data_key, job.binding).key.seal(Kind.RESULT, ref, packed)
    intake.store.leases.complete(ref, ChunkResult(sealed, {"created": 1}))
    return intake.store.jobs.job(job_id)


@pytest.fixture
def prefix() -> str:
    """The prefix of a job store in which no other test has left a job."""
    return f"rewrap{next(_numbers)}:"


@pytest.fixture
def rewrap(carecase: Carecase, servers: Services, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Ran]:
    """The command, with both keys configured, the new one first."""
    settings = {
        "REDIS_URL": servers.redis_url,
        "REDIS_PREFIX": prefix,
        "BROKER_PREFIX": f"b{prefix}",
        "ENCRYPTION_KEYS": BOTH,
        "DATABASES_DEMO_URL": "sqlite:///nowhere",
        **{f"CLIENTS_{name.upper()}_DATABASES": "demo" for name in API_KEYS},
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"CARECASE_{name}", value)
    return lambda: carecase("keys", "rewrap")


def test_after_it_the_old_key_opens_nothing_that_is_wanted(
    rewrap: Callable[[], Ran], servers: Services, prefix: str
) -> None:
    with an_intake(servers.redis_url, prefix, encryption={"keys": key("old", OLD)}) as before:
        final, deleted = a_final_job(before, 1), a_final_job(before, 2)
        waiting = before.store.jobs.job(before.send(a_case(3), **{"Idempotency-Key": "key 3"}))
        with redis.Redis.from_url(servers.redis_url) as raw:
            raw.delete(before.store.keys.job(deleted.job_id))
    for wrapped in (2, 0):
        ran = rewrap()
        assert (ran.status, ran.out.splitlines()[-1]) == (
            0, f"{wrapped} wrapped with the key new, {3 - wrapped} needed no change",
        ), ran.err  # fmt: skip

    for job in (final, deleted, waiting):  # as they lie in a backup of before
        with pytest.raises(PayloadUnreadable):
            Seals({"new": NEW}).opened(job.data_key, job.binding)
    with an_intake(servers.redis_url, prefix, encryption={"keys": key("new", NEW)}) as after:
        with after.client() as client:
            assert client.get(f"/jobs/{final.job_id}/result").status_code == 207
            assert client.get(f"/jobs/{deleted.job_id}").status_code == 404
        assert after.send(a_case(1), **{"Idempotency-Key": "key 1"}) == final.job_id
        assert after.send(a_case(3), **{"Idempotency-Key": "key 3"}) == waiting.job_id
        assert after.store.jobs.job(waiting.job_id).seq == waiting.seq


@pytest.mark.parametrize("is_over", [True, False], ids=["final", "open"])
def test_it_covers_databases_that_only_other_configurations_name(
    rewrap: Callable[[], Ran], servers: Services, prefix: str, is_over: bool
) -> None:
    """As those of other groups of workers; or else their jobs are lost with the old key."""
    with an_intake(servers.redis_url, prefix, encryption={"keys": key("old", OLD)}) as before:
        headers = {"vbasoftware-database": "second"}
        sent = a_final_job(before, 9, **headers).job_id if is_over else before.send(a_case(9), **headers)
    ran = rewrap()
    assert (ran.status, ran.out.splitlines()[-2:]) == (
        0, ["databases with jobs: second", "1 wrapped with the key new, 0 needed no change"],
    ), ran.err  # fmt: skip
    with an_intake(servers.redis_url, prefix, encryption={"keys": key("new", NEW)}) as after:
        job = after.store.jobs.job(sent)
        assert Seals({"new": NEW}).opened(job.data_key, job.binding).key is not None


def test_without_keys_there_is_nothing_to_wrap_with(carecase: Carecase) -> None:
    ran = carecase("keys", "rewrap")
    assert (ran.status, ran.out) == (2, "")
    assert "encryption.keys: there are none, so no job has a data key" in ran.err


def test_a_job_from_before_there_were_keys_needs_none(
    rewrap: Callable[[], Ran], servers: Services, prefix: str
) -> None:
    with an_intake(servers.redis_url, prefix) as before:
        before.send(a_case(8))
    ran = rewrap()
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "0 wrapped with the key new, 1 needed no change"), ran.err


def test_it_says_of_how_many_jobs_the_key_is_not_here(
    rewrap: Callable[[], Ran], servers: Services, prefix: str
) -> None:
    with an_intake(servers.redis_url, prefix, encryption={"keys": key("lost", bytes(reversed(NEW)))}) as before:
        before.send(a_case(4))
    ran = rewrap()
    assert ran.status == 1
    assert ran.out.splitlines()[-1] == "1 cannot be opened with the configured keys: keep the old keys"


def test_a_record_that_somebody_changed_keeps_no_other_job_from_the_new_key(
    rewrap: Callable[[], Ran], servers: Services, prefix: str
) -> None:
    with an_intake(servers.redis_url, prefix, encryption={"keys": key("old", OLD)}) as before:
        changed, *others = [before.store.jobs.job(before.send(a_case(number))) for number in (5, 6, 7)]
        with redis.Redis.from_url(servers.redis_url) as raw:
            raw.hset(before.store.keys.job(changed.job_id), "user", "somebody else")
    ran = rewrap()
    assert (ran.status, ran.out.splitlines()[-1]) == (
        1, "1 cannot be opened with the configured keys: keep the old keys",
    ), ran.err  # fmt: skip
    with an_intake(servers.redis_url, prefix, encryption={"keys": key("new", NEW)}) as after:
        for job in others:
            assert after.store.jobs.job(job.job_id).body_sha256 == job.body_sha256
