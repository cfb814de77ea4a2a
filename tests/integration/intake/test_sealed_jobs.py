"""Sealed jobs over HTTP: the sender sees what it sent and what became of it, and nothing that another hand wrote."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import redis
from structlog.testing import capture_logs
from tests.builders import a_batch, a_case
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.batches.binding import shared
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import Kind, Seals
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.outcomes import CREATED, REFUSED, UPDATED, Outcome
from carecase_worker.store.operations.admission import Kept
from carecase_worker.store.operations.claims import ChunkResult

KEY = bytes(range(32))
KEYS = f"k1:{base64.b64encode(KEY).decode()}"
SEALS = Seals({"k1": KEY})
CASES = [a_case(key, case_ID="Ozymandias") for key in range(777_001, 777_005)]


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    """An intake with a key, which cuts batches into chunks of two items."""
    encryption, jobs = {"keys": KEYS}, {"chunk_items": 2}
    with an_intake(servers.redis_url, "sealed:", encryption=encryption, jobs=jobs) as started:
        yield started


@pytest.fixture
def raw(servers: Services) -> Iterator[Any]:
    with redis.Redis.from_url(servers.redis_url) as client:
        yield client


def finish(intake: Intake, job_id: str, outcomes: tuple[Outcome, ...] = (CREATED, UPDATED)) -> None:
    """Have this become of the two items of each chunk, as a worker would write it."""
    job = intake.store.jobs.job(job_id)
    key = SEALS.opened(job.data_key, job.binding).key
    for number in range(len(job.chunk_firsts)):
        ref, keys = ChunkRef(job_id, number), [777_001 + place for place in job.places_of(number)]
        packed = key.seal(Kind.RESULT, ref, pack_done(ChunkOutcomes(keys, outcomes)))
        counts = {"created": 1, "updated": 1} if outcomes[0] is CREATED else {"failed": 2}
        intake.store.leases.complete(ref, ChunkResult(packed, counts, retryable=outcomes[0] is REFUSED))


def everything(raw: Any, prefix: str) -> bytes:
    """All that Redis holds under a prefix, names and values, as one text."""
    found: list[bytes] = []
    for name in raw.scan_iter(f"{prefix}*"):
        found += [name, raw.dump(name) or b""]
        if raw.type(name) == b"hash":
            found += [part for pair in raw.hgetall(name).items() for part in pair]
        if raw.type(name) == b"string":
            found.append(raw.get(name) or b"")
    return b"\n".join(found)


def response_of(intake: Intake, job_id: str, path: str = "", client: str = "ann") -> httpx.Response:
    with intake.client(client) as asking:
        return asking.get(f"/jobs/{job_id}{path}")


def test_the_sender_is_shown_what_it_sent_and_redis_is_not(intake: Intake, raw: Any) -> None:
    job_id = intake.send(*CASES, **{"Idempotency-Key": "Ozymandias"})
    plain_mark = shared("demo", None, hashlib.sha256(a_batch(*CASES)).hexdigest())
    digest = hashlib.sha256(a_batch(*CASES)).hexdigest()
    with intake.client() as client:
        listed = {one["jobId"]: one["bodySha256"] for one in client.get("/jobs").json()["data"]}
    assert response_of(intake, job_id).json()["data"]["bodySha256"] == listed[job_id] == digest
    finish(intake, job_id)
    response = response_of(intake, job_id, "/result")
    assert [(one["id"][0]["value"], one["status"]) for one in response.json()["data"]] == [
        (777_001, 201), (777_002, 200), (777_003, 201), (777_004, 200),
    ]  # fmt: skip
    stored = everything(raw, "sealed:")
    for secret in (b"Ozymandias", b"777001", (777_001).to_bytes(8, "little"), digest.encode(), bytes.fromhex(digest)):
        assert secret not in stored
    for guessed in ("Ozymandias", plain_mark):
        assert hashlib.sha256(guessed.encode()).hexdigest().encode() not in stored


def test_what_failed_is_sent_again_and_opens_as_a_job_of_its_own(intake: Intake) -> None:
    job_id = intake.send(*CASES[:2])
    finish(intake, job_id, (REFUSED, REFUSED))
    with intake.client() as client:
        response = client.post(f"/jobs/{job_id}/retry")
    again = intake.store.jobs.job(response.json()["job"]["jobId"])
    (payload,) = intake.store.jobs.payloads(again.job_id, [0])
    assert payload is not None
    SEALS.opened(again.data_key, again.binding).key.open(Kind.PAYLOAD, ChunkRef(again.job_id, 0), payload)
    assert again.data_key != intake.store.jobs.job(job_id).data_key


def test_a_job_that_is_purged_takes_its_data_key_with_it_and_is_still_known_to_have_expired(
    intake: Intake, raw: Any
) -> None:
    """Nothing that is left opens a copy of what was sent, or confirms a guess of it or of its Idempotency-Key."""
    job_id = intake.send(*CASES, **{"Idempotency-Key": "purged"})
    finish(intake, job_id, (REFUSED, REFUSED))
    before = raw.hgetall(intake.store.keys.job(job_id))
    secrets = [before[name] for name in (b"data_key", b"signature", b"idempotency")]
    assert all(secrets)
    with intake.client() as client:
        assert client.delete(f"/jobs/{job_id}?purge=true").status_code == 204
        assert client.get(f"/jobs/{job_id}").status_code == 410
        assert client.delete(f"/jobs/{job_id}?purge=true").status_code == 410
    stored = everything(raw, "sealed:")
    assert not [secret for secret in secrets if secret in stored]
    assert intake.send(*CASES, **{"Idempotency-Key": "purged"}) != job_id


def test_what_is_kept_is_counted_as_it_is_sealed(intake: Intake, raw: Any) -> None:
    before = intake.store.workload.kept("second").get("ann", Kept())
    with intake.client(**{"vbasoftware-database": "second"}) as client:
        job_id = client.put("/care-cases-batch", content=a_batch(*CASES)).json()["job"]["jobId"]
    payloads = [payload for payload in intake.store.jobs.payloads(job_id, [0, 1]) if payload]
    key_set = raw.get(intake.store.keys.key_set(job_id))
    size = 4096 + sum(256 + len(payload) for payload in payloads) + len(key_set)
    assert intake.store.workload.kept("second")["ann"] == Kept(before.jobs + 1, before.size + size)
    finish(intake, job_id)
    results = [result for result in intake.store.jobs.outcomes(job_id, [0, 1]) if result]
    size += sum(map(len, results)) - sum(map(len, payloads)) - len(key_set)
    assert intake.store.workload.kept("second")["ann"] == Kept(before.jobs + 1, before.size + size)


@pytest.mark.parametrize("client", ["ann", "bob"])
def test_a_retry_that_was_made_to_be_another_job_gives_nothing(intake: Intake, raw: Any, client: str) -> None:
    """Of another client, or of another care plan."""
    job_id = intake.send(*CASES[:2])
    finish(intake, job_id, (REFUSED, REFUSED))
    path = "/care-plans/5/cases-batch" if client == "ann" else "/care-cases-batch"
    with intake.client(client) as sender:
        other = sender.put(path, content=a_batch(a_case(1))).json()["job"]["jobId"]
    raw.hset(intake.store.keys.job(job_id), "retried_as", other)
    with intake.client() as asking:
        response = asking.post(f"/jobs/{job_id}/retry")
    assert (response.status_code, response.json()["error"]["type"]) == (500, "urn:carecase:problem:seal-broken")
    assert other not in response.text


class Hand:
    """Another hand than the service's, at a final job `mine` of two chunks, and at one `other` of the same sender."""

    def __init__(self, intake: Intake, raw: Any) -> None:
        self.raw, self.keys = raw, intake.store.keys
        self.mine, self.other = (intake.send(*CASES) for _ in range(2))
        for job_id in (self.mine, self.other):
            finish(intake, job_id)

    def plant(self, name: str, value: Any) -> None:
        self.raw.hset(self.keys.outcome(self.mine), name, value)

    def outcome(self, job_id: str, number: str) -> Any:
        return self.raw.hget(self.keys.outcome(job_id), number)

    def write(self, **fields: str) -> None:
        self.raw.hset(self.keys.job(self.mine), mapping=fields)


FORGED = pack_done(ChunkOutcomes([1, 2], [CREATED, CREATED]))
RESULTS: dict[str, Callable[[Hand], None]] = {
    "not sealed": lambda it: it.plant("0", FORGED),
    "of another chunk": lambda it: it.plant("0", it.outcome(it.mine, "1")),
    "of another job": lambda it: it.plant("1", it.outcome(it.other, "1")),
    "places of the chunks": lambda it: it.write(firsts="0,1"),
    "places of larger chunks": lambda it: it.write(firsts="0,3"),
}
RECORDS: dict[str, Callable[[Hand], None]] = {
    "user": lambda it: it.write(user="somebody"),
    "database": lambda it: it.write(database="second"),
    "care plan": lambda it: it.write(care_plan="9"),
    "strictness": lambda it: it.write(strict="1"),
    "total": lambda it: it.write(total="3"),
    "chunks": lambda it: it.write(firsts="0", chunks="1"),
}


@pytest.mark.parametrize("attack", RESULTS)
def test_a_result_that_was_changed_is_not_shown(intake: Intake, raw: Any, attack: str) -> None:
    hand = Hand(intake, raw)
    RESULTS[attack](hand)
    page = "2" if attack == "of another job" else "1"
    for path in ("/result", f"/result?page={page}&pageSize=2"):
        refused = response_of(intake, hand.mine, path)
        assert refused.status_code == 500
        assert refused.json()["error"]["type"] == "urn:carecase:problem:seal-broken"
    assert response_of(intake, hand.mine).status_code == 200


@pytest.mark.parametrize("attack", RECORDS)
def test_of_a_job_whose_record_was_changed_nothing_is_shown(intake: Intake, raw: Any, attack: str) -> None:
    hand = Hand(intake, raw)
    RECORDS[attack](hand)
    for path in ("", "/result"):
        refused = response_of(intake, hand.mine, path)
        assert (refused.status_code, refused.json()["data"]) == (500, None)
        assert refused.json()["error"]["type"] == "urn:carecase:problem:seal-broken"
    with intake.client() as client, capture_logs() as logs:
        listed = [one["jobId"] for one in client.get("/jobs").json()["data"]]
    assert hand.mine not in listed
    assert hand.other in listed
    (line, *_) = [line for line in logs if line["event"] == "job left out of a list"]  # each look at the list
    assert (line["job_id"], line["reason"] != "") == (hand.mine, True)


def test_a_job_is_shown_to_nobody_to_whom_another_hand_gave_it(intake: Intake, raw: Any) -> None:
    hand = Hand(intake, raw)
    raw.zadd(intake.store.keys.jobs("demo", "bob"), {hand.other: 1, hand.mine: 2})
    hand.write(client="bob")
    for path in ("", "/result"):
        refused = response_of(intake, hand.mine, path, "bob")
        assert (refused.status_code, refused.json()["error"]["type"]) == (500, "urn:carecase:problem:seal-broken")
        assert response_of(intake, hand.other, path, "bob").status_code == 404
    raw.zadd(intake.store.keys.jobs("second", "ann"), {hand.other: 1})
    for name, query in (("bob", ""), ("ann", "?database=second")):
        with intake.client(name) as client:
            listed = {one["jobId"] for one in client.get(f"/jobs{query}").json()["data"]}
        assert listed.isdisjoint({hand.mine, hand.other})


def test_a_job_is_purged_and_sent_again_by_nobody_to_whom_another_hand_gave_it(intake: Intake, raw: Any) -> None:
    hand = Hand(intake, raw)
    hand.write(client="bob")
    with intake.client("bob") as client:
        path = f"/jobs/{hand.mine}"
        answers = [client.delete(path), client.delete(f"{path}?purge=true"), client.post(f"{path}/retry")]
    told = [(answer.status_code, answer.json()["error"]["type"]) for answer in answers]
    assert told == [(500, "urn:carecase:problem:seal-broken")] * 3
    assert raw.exists(intake.store.keys.outcome(hand.mine))


def test_a_job_whose_key_is_not_here_is_shown_without_its_digest_and_can_be_cancelled(
    intake: Intake, servers: Services
) -> None:
    job_id = intake.send(*CASES)
    with an_intake(servers.redis_url, "sealed:") as other, other.client() as client:
        document = client.get(f"/jobs/{job_id}").json()["data"]
        assert (document["state"], document["total"], document["bodySha256"]) == ("queued", 4, None)
        assert client.delete(f"/jobs/{job_id}").status_code == 202


def test_a_result_that_nobody_sealed_is_shown_only_while_old_jobs_drain(servers: Services) -> None:
    with an_intake(servers.redis_url, "drained:") as before:
        job_id = before.send(*CASES[:2])
        before.finish(job_id, (CREATED, CREATED))
    for required, status in ((True, 503), (False, 207)):
        with an_intake(servers.redis_url, "drained:", encryption={"keys": KEYS, "required": required}) as after:
            assert response_of(after, job_id, "/result").status_code == status


def test_a_request_that_is_sent_again_gives_the_same_job_whatever_keys_are_added(servers: Services) -> None:
    """From no key to one, behind it another one, which then comes to the front; the last step is back from there."""
    other = f"k2:{base64.b64encode(bytes(32)).decode()}"
    steps = [None, KEYS, f"{KEYS},{other}", f"{other},{KEYS}", f"{KEYS},{other}"]
    jobs: list[list[str]] = []
    for number, keys in enumerate(steps):
        encryption = {"keys": keys, "required": False} if keys else {}
        with an_intake(servers.redis_url, "known:", encryption=encryption) as intake:
            jobs.append(
                [intake.send(a_case(step), **{"Idempotency-Key": f"step {step}"}) for step in range(number + 1)]
            )
            with intake.client(**{"Idempotency-Key": "step 0"}) as client:
                assert client.put("/care-cases-batch", content=a_batch(a_case(900))).status_code == 422
    for number in range(len(steps)):
        assert len({response_of[number] for response_of in jobs[number:]}) == 1
    assert len(set(jobs[-1])) == len(steps)


@pytest.mark.parametrize(
    "theirs",
    [
        {"client": "bob"}, {"first": 5}, {"path": "/care-plans/5/cases-batch"},
        {"path": "/care-cases-batch?dryRun=true"}, {"headers": {"prefer": "handling=strict"}},
        {"headers": {"vbasoftware-database": "second"}},
    ],
)  # fmt: skip
def test_a_key_that_was_made_to_stand_for_another_job_gives_nothing(
    intake: Intake, raw: Any, theirs: dict[str, Any]
) -> None:
    key = f"stands for {theirs}"
    with intake.client(theirs.get("client", "ann"), **theirs.get("headers", {})) as client:
        path = theirs.get("path", "/care-cases-batch")
        other = client.put(path, content=a_batch(a_case(theirs.get("first", 1)))).json()["job"]["jobId"]
    job_id = intake.send(a_case(1), **{"Idempotency-Key": key})
    name = raw.hget(intake.store.keys.job(job_id), "idempotency")
    fingerprint = raw.get(name).partition(b"|")[0]
    raw.set(name, fingerprint + b"|" + other.encode())
    with intake.client(**{"Idempotency-Key": key}) as client:
        response = client.put("/care-cases-batch", content=a_batch(a_case(1)))
    assert (response.status_code, response.json()["error"]["type"]) == (500, "urn:carecase:problem:seal-broken")
    assert other not in response.text
