"""Sealed jobs: what somebody else put into Redis is never applied; what cannot be opened waits, and nothing is lost."""

import base64
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from tests.builders import a_batch, a_case
from tests.integration.worker.attempts import SteppedTargets
from tests.integration.worker.sealing import NEW, OLD, SEALS, admit, applier_of, attempt, result
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import Chunk, ChunkRef
from carecase_worker.batches.encryption import UNSEALED, Seals
from carecase_worker.batches.payloads import pack
from carecase_worker.cases.outcomes import CREATED, UNTRUSTED
from carecase_worker.errors import FailureKind
from carecase_worker.settings.loading import process_environment
from carecase_worker.store.job import State
from carecase_worker.store.pending_batch import Sender
from carecase_worker.targets.causes import Causes
from carecase_worker.worker.attempts.group import members_of, run_group

ROOT = Path(__file__).parents[3]
MARK = "Ozymandias"


def cases(first: int, count: int) -> bytes:
    return a_batch(*(a_case(key, case_ID=MARK) for key in range(first, first + count)))


@pytest.fixture
def targets(tmp_path: Path) -> SteppedTargets:
    made = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    made.prepare()
    return made


class Attacker:
    """Who may write to Redis, and has seen two jobs in it: `mine` of three chunks, and `other` of the same sender."""

    def __init__(self, redis_url: str, store: Stores, mine: str, other: str) -> None:
        self.redis = redis.Redis.from_url(redis_url)
        self.store, self.mine, self.other = store, mine, other

    def payload(self, job: str, number: int) -> bytes:
        (sealed,) = self.store.jobs.payloads(job, [number])
        assert sealed is not None
        return sealed

    def plant(self, payload: bytes) -> None:
        """Exchange the payload of the first chunk."""
        self.redis.hset(self.store.keys.payload(self.mine), "0", payload)

    def field(self, name: str, of: str = "") -> str:
        value = self.redis.hget(self.store.keys.job(of or self.mine), name)
        assert isinstance(value, bytes)
        return value.decode()

    def write(self, **fields: object) -> None:
        """Change fields of the job's record."""
        self.redis.hset(self.store.keys.job(self.mine), mapping={name: str(value) for name, value in fields.items()})

    def move_to(self, database: str) -> None:
        """Have the job be one of another database, with its first chunk due there."""
        self.write(database=database)
        self.redis.zadd(self.store.keys.due(database), {f"{self.mine}:0": 1})


PLANTED: dict[str, Callable[[Attacker], None]] = {
    "not sealed": lambda it: it.plant(pack(Chunk(0, 10, cases(900, 10)))),
    "of another chunk": lambda it: it.plant(it.payload(it.mine, 1)),
    "of another job": lambda it: it.plant(it.payload(it.other, 0)),
    "changed": lambda it: it.plant(it.payload(it.mine, 0)[:-1] + bytes((it.payload(it.mine, 0)[-1] ^ 1,))),
}
"""Payloads that are exchanged."""
CHANGED: dict[str, Callable[[Attacker], None]] = {
    "client": lambda it: it.write(client="other"),
    "user": lambda it: it.write(user="somebody"),
    "database": lambda it: it.move_to("demo_sqlite"),
    "care plan": lambda it: it.write(care_plan=6),
    "no care plan": lambda it: it.write(care_plan=""),
    "strictness": lambda it: it.write(strict=1),
    "total": lambda it: it.write(total=29),
    "chunks": lambda it: it.write(chunks=2),
    "data key of another job": lambda it: it.write(data_key=it.field("data_key", it.other)),
    "all of another job's seal": lambda it: it.write(
        **{name: it.field(name, it.other) for name in ("data_key", "signature", "seq", "accepted_us")}
    ),
    "later": lambda it: it.write(seq=int(it.field("seq")) + 1),
    "earlier": lambda it: it.write(seq=int(it.field("seq")) - 1),
    "moved up": lambda it: it.write(seq=int(it.field("seq")) + 5, moved=5),
    "another moment": lambda it: it.write(accepted_us=int(it.field("accepted_us")) - 1),
    "signature of another job": lambda it: it.write(signature=it.field("signature", it.other)),
    "no signature": lambda it: it.write(signature=""),
}
"""Records that are changed."""


@pytest.fixture
def attacker(servers: Services, store: Stores) -> Attacker:
    store.leases.settle("demo", 0)
    mine, other = (admit(store, cases(first, 30), SEALS) for first in (1, 101))
    return Attacker(servers.redis_url, store, mine.job_id, other.job_id)


@pytest.mark.parametrize("attack", [*PLANTED, *CHANGED])
def test_what_somebody_else_wrote_is_never_applied(
    attacker: Attacker, store: Stores, targets: SteppedTargets, attack: str, capfd: pytest.CaptureFixture[str]
) -> None:
    first = ChunkRef(attacker.mine, 0)
    {**PLANTED, **CHANGED}[attack](attacker)
    assert attempt(store, targets, first, SEALS).verdict == "kept"
    assert targets.rows("SELECT case_key FROM care_case") == []
    job = store.jobs.job(attacker.mine)
    assert (job.processed, job.counts["failed"]) == (10, 10)
    printed = "".join(capfd.readouterr())
    (line,) = (line for line in printed.splitlines() if "chunk refused" in line)
    assert attacker.mine in line
    assert re.search(r"reason=.*\bjob", line), "it says what is wrong"
    assert MARK not in printed
    # where it is certain which database it was for, it says that nothing was applied; else no database hears of it
    assert len(targets.rows("SELECT job_id FROM ingest_ledger")) == (attack in PLANTED)


@pytest.mark.parametrize("attack", PLANTED)
def test_each_of_its_items_is_500_and_the_other_chunks_are_applied(
    attacker: Attacker, store: Stores, targets: SteppedTargets, attack: str
) -> None:
    PLANTED[attack](attacker)
    for number in range(3):
        assert attempt(store, targets, ChunkRef(attacker.mine, number), SEALS).verdict == "kept"
    chunk = result(store, ChunkRef(attacker.mine, 0))
    assert (chunk.keys, chunk.outcomes) == ([None] * 10, [UNTRUSTED] * 10)
    assert {one.kind.status for one in chunk.outcomes} == {500}
    chunk = result(store, ChunkRef(attacker.mine, 2))
    assert (chunk.keys, chunk.outcomes) == (list(range(21, 31)), [CREATED] * 10)
    assert store.jobs.job(attacker.mine).state is State.COMPLETED


def test_items_that_were_answered_with_500_are_not_applied_once_the_payload_is_put_back(
    attacker: Attacker, store: Stores, targets: SteppedTargets
) -> None:
    first, good = ChunkRef(attacker.mine, 0), attacker.payload(attacker.mine, 0)
    attacker.plant(b"")
    attempt(store, targets, first, SEALS)
    attacker.plant(good)
    attacker.redis.delete(store.keys.outcome(attacker.mine))
    attacker.redis.zadd(store.keys.due("demo"), {f"{attacker.mine}:0": 1})
    assert attempt(store, targets, first, SEALS).verdict == "kept"
    assert result(store, first).outcomes == [UNTRUSTED] * 10
    assert targets.rows("SELECT case_key FROM care_case") == []


def test_its_items_are_500_and_not_503_though_the_database_has_stayed_away(
    servers: Services, store: Stores, tmp_path: Path
) -> None:
    """It was not opened yet: nobody could look whether the database holds anything of before this Redis."""
    first = ChunkRef(admit(store, cases(1, 10), SEALS).job_id, 0)
    Attacker(servers.redis_url, store, first.job_id, first.job_id).plant(b"")
    nowhere = SteppedTargets(f"sqlite:///{tmp_path}/no/such/place.sqlite")
    assert attempt(store, nowhere, first, SEALS).verdict == "kept"
    assert result(store, first).outcomes == [UNTRUSTED] * 10


def test_its_items_are_500_and_not_503_though_the_attempt_ran_out_of_time_before_it_was_opened(
    attacker: Attacker, store: Stores, targets: SteppedTargets
) -> None:
    first, applier = ChunkRef(attacker.mine, 0), applier_of(store, targets, SEALS)
    attacker.plant(b"")
    ((_, claim),) = applier.claim(first)
    assert claim.lease is not None
    assert applier.fail(claim.lease, FailureKind.AWAY, Causes.TIMEOUT.value).verdict == "kept"
    assert result(store, first).outcomes == [UNTRUSTED] * 10


def test_one_that_was_changed_harms_no_other_small_batch(
    servers: Services, store: Stores, targets: SteppedTargets
) -> None:
    store.leases.settle("demo", 0)
    refs = [ChunkRef(admit(store, cases(first, 3), SEALS).job_id, 0) for first in (1, 11)]
    Attacker(servers.redis_url, store, refs[0].job_id, refs[1].job_id).plant(b"")
    applier = applier_of(store, targets, SEALS)
    members = members_of(applier.claim(refs[0]))
    assert len(members) == 2, "they go together"
    run_group(applier, members)
    assert [result(store, ref).outcomes for ref in refs] == [[UNTRUSTED] * 3, [CREATED] * 3]


def test_what_had_been_applied_is_reported_as_it_was(
    attacker: Attacker, store: Stores, targets: SteppedTargets
) -> None:
    """A worker died between commit and complete; somebody exchanges the payload before the next one comes."""
    first = ChunkRef(attacker.mine, 0)
    attempt(store, targets, first, SEALS)
    attacker.redis.delete(store.keys.outcome(attacker.mine))
    attacker.redis.zadd(store.keys.due("demo"), {f"{attacker.mine}:0": 1})
    attacker.plant(b"")
    attempt(store, targets, first, SEALS)
    assert result(store, first).outcomes == [CREATED] * 10


def test_a_job_that_nobody_sealed_waits_and_is_applied_only_while_old_jobs_drain(
    store: Stores, targets: SteppedTargets, capfd: pytest.CaptureFixture[str]
) -> None:
    """It may be from before there were keys: then its sender was promised that it is applied."""
    admission = admit(store, cases(1, 3))
    for _ in range(7):
        assert attempt(store, targets, admission.to_notify[0], SEALS).verdict == "released: unreadable"
    assert "set encryption.required = false" in "".join(capfd.readouterr())
    assert targets.rows("SELECT case_key FROM care_case") == []
    draining = Seals({"k": NEW}, required=False)
    assert attempt(store, targets, admission.to_notify[0], draining).verdict == "kept"
    assert result(store, admission.to_notify[0], draining).outcomes == [CREATED] * 3


def test_while_old_jobs_drain_a_sealed_job_still_needs_its_seal(
    attacker: Attacker, store: Stores, targets: SteppedTargets
) -> None:
    PLANTED["not sealed"](attacker)
    attempt(store, targets, ChunkRef(attacker.mine, 0), Seals({"k": NEW}, required=False))
    assert targets.rows("SELECT case_key FROM care_case") == []


def test_a_job_that_is_moved_up_is_applied(store: Stores, targets: SteppedTargets) -> None:
    """The first jobs of a new Redis are moved above what the database holds, after they were signed."""
    admission = admit(store, cases(1, 3), SEALS)
    signed = store.jobs.job(admission.job_id).seq
    store.leases.settle("demo", signed + 5)
    assert store.jobs.job(admission.job_id).seq > signed + 5
    assert attempt(store, targets, admission.to_notify[0], SEALS).verdict == "kept"
    assert store.jobs.job(admission.job_id).counts["created"] == 3


def test_a_chunk_waits_for_its_key(store: Stores, targets: SteppedTargets, capfd: pytest.CaptureFixture[str]) -> None:
    admission = admit(store, cases(1, 25), Seals({"new": NEW, "old": OLD}))
    for seals in (UNSEALED, Seals({"old": OLD}), Seals({"new": OLD})) * 2:
        for ref in admission.to_notify:
            assert attempt(store, targets, ref, seals).verdict == "released: unreadable"
    assert store.jobs.job(admission.job_id).state is State.WAITING
    printed = "".join(capfd.readouterr())
    assert "chunk waits for a worker that can read it" in printed
    assert "sealed with the key 'new', which is not configured; add it to encryption.keys" in printed

    to_notify = list(admission.to_notify)
    while to_notify:
        applied = attempt(store, targets, to_notify.pop(), Seals({"newest": bytes(reversed(NEW)), "new": NEW}))
        to_notify += applied.to_notify
    job = store.jobs.job(admission.job_id)
    assert (job.state, job.counts["created"]) == (State.COMPLETED, 25)


@pytest.mark.parametrize(("sealed", "worker"), [(Seals({"lost": NEW}), UNSEALED), (UNSEALED, SEALS)])
def test_a_job_that_cannot_be_opened_can_be_cancelled(
    store: Stores, targets: SteppedTargets, sealed: Seals, worker: Seals
) -> None:
    admission = admit(store, cases(1, 25), sealed)
    assert attempt(store, targets, admission.to_notify[0], worker).verdict == "released: unreadable"
    store.jobs.cancel(admission.job_id)
    for number in range(3):
        assert attempt(store, targets, ChunkRef(admission.job_id, number), worker).verdict == "kept"
    job = store.jobs.job(admission.job_id)
    assert (job.state, job.processed, job.counts["cancelled"]) == (State.CANCELLED, 25, 25), "each item once"


def test_a_worker_has_a_sealed_batch_wait_for_those_that_it_shares_a_case_with_alone(
    servers: Services, store: Stores, targets: SteppedTargets
) -> None:
    store.leases.settle("demo", 0)
    bodies = {5: a_batch(a_case(1)), 6: a_batch(a_case(2, carePlan_Key=6)), 7: a_batch(a_case(1, carePlan_Key=7))}
    earlier, apart, meeting = (
        admit(store, body, SEALS, Sender("demo", "demo", "demo", care_plan)).job_id
        for care_plan, body in bodies.items()
    )
    assert store.leases.claim(ChunkRef(earlier, 0), "another worker").lease
    settings = {
        "REDIS_URL": servers.redis_url,
        "REDIS_PREFIX": store.keys.prefix,
        "BROKER_PREFIX": f"b{store.keys.prefix}",
        "DATABASES_DEMO_URL": targets.url,
        "ENCRYPTION_KEYS": f"k:{base64.b64encode(NEW).decode()}",
    }
    variables = {f"CARECASE_{name}": value for name, value in settings.items()}
    for job_id in (apart, meeting):
        command = [sys.executable, "-m", "tests.traced_worker", job_id, "1"]
        subprocess.run(command, cwd=ROOT, env=process_environment() | variables, check=True)
    states = [store.jobs.job(job_id).state.value for job_id in (earlier, apart, meeting)]
    assert states == ["running", "completed", "queued"]
