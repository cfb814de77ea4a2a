"""A batch that comes in is packed and staged by other threads, and is whole, in order, or nothing."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from random import Random
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import redis
from tests.acceptance.system import eventually
from tests.integration.worker.attempts import SteppedStore, away_at
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.batches.payloads import unpack
from carecase_worker.errors import BacklogFull, BatchFault, BatchRefused, StoreUnavailable
from carecase_worker.store.operations.admission import Admission, Admitted, Kept
from carecase_worker.store.pending_batch import Admissions, PendingBatch, Sender

JOB = UUID(int=7)
ITEMS_A_CALL, CALLS = 100, 40
ITEM_BYTES = 1_000  # of noise, so that what is staged has megabytes, too


def draft_of(store: Any, packers: ThreadPoolExecutor) -> PendingBatch:
    admissions = Admissions(store.batches, ChunkLimits(250, 1 << 20, 1 << 18), 100_000, packers)
    return admissions.draft(Sender("ann", "ann", "demo", None), JOB)


def send(draft: PendingBatch) -> Admission:
    fill(draft)
    return draft.admit("0" * 64)


def fill(draft: PendingBatch) -> list[bytes]:
    """Add items of noise, call by call; what was added."""
    random, added = Random(1), []
    for _ in range(CALLS):
        items = [b'"%b"' % random.randbytes(ITEM_BYTES // 2).hex().encode() for _ in range(ITEMS_A_CALL)]
        draft.add([msgspec.Raw(item) for item in items])
        added += items
    return added


@pytest.fixture
def packers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as packers:
        yield packers


def test_every_item_is_there_in_order_and_every_byte_is_counted(store: Stores, packers: ThreadPoolExecutor) -> None:
    draft = draft_of(store, packers)
    added = fill(draft)
    admission = draft.admit("0" * 64)
    job = store.jobs.job(admission.job_id)
    payloads = [
        payload for payload in store.jobs.payloads(job.job_id, range(len(job.chunk_firsts))) if payload is not None
    ]
    chunks = [unpack(payload) for payload in payloads]
    assert tuple(chunk.first for chunk in chunks) == job.chunk_firsts == tuple(range(0, len(added), 250))
    assert [bytes(raw) for chunk in chunks for raw in msgspec.json.decode(chunk.items, type=list[msgspec.Raw])] == added
    no_keys = 8  # bytes that a set without any takes
    assert store.workload.backlog("demo") == (1, sum(map(len, payloads)) + no_keys)
    assert sum(map(len, payloads)) > 1 << 20, "several calls of stage"


def test_what_packing_took_is_charged_to_the_client(store: Stores, packers: ThreadPoolExecutor) -> None:
    charged: list[tuple[str, float]] = []
    admissions = Admissions(
        store.batches,
        ChunkLimits(250, 1 << 20, 1 << 18),
        100_000,
        packers,
        charge=lambda client, seconds: charged.append((client, seconds)),
    )
    send(admissions.draft(Sender("ann", "ann", "demo", None), JOB))
    assert {client for client, _ in charged} == {"ann"}
    assert sum(seconds for _, seconds in charged) > 0
    assert len(charged) > CALLS / 4


def test_what_was_staged_goes_with_a_draft_that_is_given_up(store: Stores, packers: ThreadPoolExecutor) -> None:
    draft = draft_of(store, packers)
    fill(draft)
    eventually(lambda: any(store.jobs.payloads(str(JOB), range(16))), what="some of it is staged before it is whole")
    draft.discard()
    assert store.jobs.payloads(str(JOB), range(16)) == [None] * 16
    assert store.workload.backlog("demo") == (0, 0)


def test_what_is_being_staged_goes_with_a_draft_that_is_given_up(store: Stores, packers: ThreadPoolExecutor) -> None:
    """Chunks that are staged after the others were dropped would count until they expire."""
    begun, goes_on, calls = Event(), Event(), list[str]()

    def stage(*arguments: Any) -> Admission:
        begun.set()
        goes_on.wait()
        admission = store.batches.stage(*arguments)
        calls.append("staged")
        return admission

    def discard(*arguments: Any) -> None:
        calls.append("discarded")
        store.batches.discard(*arguments)

    draft = draft_of(SimpleNamespace(batches=SimpleNamespace(stage=stage, discard=discard)), packers)
    random = Random(1)
    while not begun.is_set():
        draft.add(
            [msgspec.Raw(b'"%b"' % random.randbytes(ITEM_BYTES // 2).hex().encode()) for _ in range(ITEMS_A_CALL)]
        )
    with ThreadPoolExecutor(1) as pool:
        discarded = pool.submit(draft.discard)
        assert not wait([discarded], timeout=0.5).done  # long enough for whoever does not wait for what is being staged
        assert calls == []
        goes_on.set()
        discarded.result()
    assert calls == [*["staged"] * (len(calls) - 1), "discarded"]
    assert store.workload.kept("demo") == {"ann": Kept()}


def test_a_batch_of_which_a_part_was_lost_meanwhile_is_to_be_sent_again(
    servers: Services, store: Stores, packers: ThreadPoolExecutor
) -> None:
    draft = draft_of(store, packers)
    fill(draft)
    eventually(lambda: any(store.jobs.payloads(str(JOB), range(16))), what="something is staged")
    redis.Redis.from_url(servers.redis_url).delete(store.keys.payload(str(JOB)))
    with pytest.raises(StoreUnavailable, match="lost a part of the batch; send it again"):
        draft.admit("0" * 64)
    assert store.jobs.payloads(str(JOB), range(16)) == [None] * 16


def test_a_store_that_goes_away_meanwhile_refuses_the_batch(store: Stores, packers: ThreadPoolExecutor) -> None:
    draft = draft_of(SteppedStore(store, away_at("after stage")), packers)
    with pytest.raises(StoreUnavailable):
        send(draft)
    draft.discard()
    assert store.jobs.payloads(str(JOB), range(16)) == [None] * 16


def admissions(store: Stores, packers: ThreadPoolExecutor, max_items: int = 100) -> Admissions:
    return Admissions(store.batches, ChunkLimits(items=2, size=10, item_size=10), max_items, packers)


def admit(admissions: Admissions, sender: Sender, items: list[bytes], digest: str = "0" * 64) -> Admission:
    draft = admissions.draft(sender, uuid4())
    draft.add([msgspec.Raw(item) for item in items])
    return draft.admit(digest)


FIRST = Sender("ann", "ann", "demo", 5, idempotency_key="k")


@pytest.mark.parametrize(
    ("sender", "digest", "verdict"),
    [
        (FIRST, "0", Admitted.KNOWN),
        (replace(FIRST, user="her new token"), "0", Admitted.KNOWN),
        (FIRST, "1", BatchFault.KEY_REUSED),
        (replace(FIRST, care_plan=6), "0", BatchFault.KEY_REUSED),
        (replace(FIRST, care_plan=None), "0", BatchFault.KEY_REUSED),
        (replace(FIRST, strict=True), "0", BatchFault.KEY_REUSED),
        (replace(FIRST, database="other"), "0", BatchFault.KEY_REUSED),
        (replace(FIRST, idempotency_key="K"), "0", Admitted.ADMITTED),
        (replace(FIRST, idempotency_key=None), "0", Admitted.ADMITTED),
        (replace(FIRST, client="bob"), "0", Admitted.ADMITTED),
    ],
)
def test_a_key_stands_for_one_batch_of_one_client(
    store: Stores, packers: ThreadPoolExecutor, sender: Sender, digest: str, verdict: Admitted | BatchFault
) -> None:
    some = admissions(store, packers)
    first = admit(some, FIRST, [b"1"], "0" * 64)
    if isinstance(verdict, BatchFault):
        with pytest.raises(BatchRefused) as refused:
            admit(some, sender, [b"1"], digest * 64)
        assert refused.value.fault is verdict
    else:
        again = admit(some, sender, [b"1"], digest * 64)
        assert again.verdict is verdict
        assert (again.job_id == first.job_id) == (verdict is Admitted.KNOWN)


def test_a_job_is_what_was_sent_by_whom(store: Stores, packers: ThreadPoolExecutor) -> None:
    sender = Sender("ann", "her token", "demo", -5, strict=True)
    job = store.jobs.job(admit(admissions(store, packers), sender, [b"1", b"2"], "1" * 64).job_id)
    members = (
        job.client,
        job.user,
        job.database,
        job.care_plan,
        job.strict,
        job.total,
        job.chunk_firsts,
        job.body_sha256,
    )
    assert members == ("ann", "her token", "demo", -5, True, 2, (0,), "1" * 64)


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_a_batch_has_at_most_so_many_items(store: Stores, packers: ThreadPoolExecutor, calls: int) -> None:
    some, sender = admissions(store, packers, max_items=3), Sender("ann", "ann", "demo", None)
    assert admit(some, sender, [b"1"] * 3).verdict is Admitted.ADMITTED
    draft, items = some.draft(sender, uuid4()), [msgspec.Raw(b"1")] * 4
    for call in range(1, calls):
        draft.add(items[call:][:1])
    with pytest.raises(BatchRefused, match="more than 3 items") as refused:
        draft.add(items[calls - 1 :])
    assert refused.value.fault is BatchFault.TOO_MANY_ITEMS


@pytest.mark.parametrize("largest", [[b"1", b"2"], [b"12345", b"12345"]])
def test_a_strict_batch_fits_into_one_chunk(store: Stores, packers: ThreadPoolExecutor, largest: list[bytes]) -> None:
    """Of at most two items, and ten bytes; one that is not strict may have more."""
    some, strict = admissions(store, packers), Sender("ann", "ann", "demo", None, strict=True)
    assert admit(some, strict, largest).verdict is Admitted.ADMITTED
    larger = [*largest[:-1], largest[-1] + b"6"] if len(largest[0]) > 1 else [*largest, b"3"]
    assert admit(some, replace(strict, strict=False), larger).verdict is Admitted.ADMITTED
    with pytest.raises(BatchRefused, match="at most 2 items and 10 bytes") as refused:
        admit(some, strict, larger)
    assert refused.value.fault is BatchFault.TOO_LARGE_FOR_STRICT


def test_what_finds_no_room_is_to_come_again(servers: Services, packers: ThreadPoolExecutor) -> None:
    some = admissions(servers.store("noroom:", max_backlog_jobs=1), packers)
    admit(some, Sender("ann", "ann", "demo", None), [b"1"])
    with pytest.raises(BacklogFull):
        admit(some, Sender("ann", "ann", "demo", None), [b"1"])
    assert admit(some, Sender("ann", "ann", "other", None), [b"1"]).verdict is Admitted.ADMITTED


class Delayed(ThreadPoolExecutor):
    """Packers that do some of their work only once they may."""

    def __init__(self, delayed: str) -> None:
        super().__init__(4)
        self._delayed = delayed
        self.may_go_on = Event()

    def submit(self, work: Any, /, *args: Any, **named: Any) -> Future[Any]:
        def later() -> Any:
            if self._delayed in work.__name__:
                assert self.may_go_on.wait(60)
            return work(*args, **named)

        return super().submit(later)

    def __exit__(self, *_: Any) -> None:
        self.may_go_on.set()
        self.shutdown()


def test_items_and_chunks_that_are_not_packed_yet_are_counted(store: Stores) -> None:
    items = [msgspec.Raw(b'"%0500d"' % number) for number in range(250)]
    with Delayed("packed") as packers:
        draft = draft_of(store, packers)
        assert draft.buffered_bytes == 0
        for chunks in range(3):
            draft.add(items[:1])
            assert draft.buffered_bytes == chunks * (250 * 503 + 1) + 2 * 502
            draft.add(items[1:])
            assert draft.buffered_bytes == (chunks + 1) * (250 * 503 + 1)


def test_chunks_are_counted_until_they_are_staged(store: Stores) -> None:
    random, size = Random(3), 0
    with Delayed("stage") as packers:
        draft = draft_of(store, packers)
        while size < 1.8 * (1 << 20):  # packed, of which the first megabyte is being staged
            items = [b'"%b"' % random.randbytes(250).hex().encode() for _ in range(250)]
            draft.add(list(map(msgspec.Raw, items)))
            size += sum(map(len, items)) // 2
        assert size <= draft.buffered_bytes <= 2 * size
        packers.may_go_on.set()
        assert draft.admit("0" * 64).verdict is Admitted.ADMITTED
