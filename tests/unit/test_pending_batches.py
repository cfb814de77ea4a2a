"""A batch while it is received: its packing is bounded, charged for and ends with it; it becomes what was sent."""

from array import array
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from random import Random
from threading import Semaphore
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.batches.key_sets import KeySet
from carecase_worker.batches.payloads import unpack
from carecase_worker.errors import BacklogFull, StoreUnavailable
from carecase_worker.store.operations.admission import Admission, Admitted, Staging
from carecase_worker.store.pending_batch import Admissions, PendingBatch, Sender
from carecase_worker.traceparent import TraceParent

BOUNDS = ChunkLimits(items=1, size=1 << 21, item_size=1 << 21)
NOISE = msgspec.Raw(b'"%b"' % Random(1).randbytes(600_000).hex().encode())
"""An item of which two are staged at a time."""
TRACED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class AtOnce(Executor):
    """Packers that have done what they are given before anything else is done."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **named))
        except MemoryError as error:
            done.set_exception(error)
        return done


class Never(Executor):
    """Packers that are busy with other batches."""

    def __init__(self) -> None:
        self.given: list[Future[Any]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        del work, args, named
        self.given.append(Future())
        return self.given[-1]


SENDER = Sender("ann", "her token", "demo", None)


def batch_of(packers: Executor, store: Any = None, sender: Sender = SENDER, **others: Any) -> PendingBatch:
    admissions = Admissions(cast(Any, store), others.pop("bounds", BOUNDS), 100, packers, **others)
    return admissions.draft(sender, UUID(int=7))


@pytest.mark.parametrize("items", [3, 5])
def test_a_batch_that_finds_no_room_while_it_is_staged_is_sent_no_further_and_becomes_no_job(items: int) -> None:
    staged = []

    def stage(staging: Any, payloads: dict[int, bytes]) -> Admission:
        staged.append(list(payloads))
        return Admission(Admitted.CROWDED, staging.job_id, whose="client")

    batch = batch_of(AtOnce(), SimpleNamespace(stage=stage))
    with pytest.raises(BacklogFull, match="this client's share"):  # noqa: PT012 - by an item, or by the end
        for _ in range(items):
            batch.add([NOISE])
        batch.ended("0" * 64)
    assert staged == [[0, 1]]


def test_a_client_whose_chunks_cannot_be_packed_is_charged_for_the_attempt() -> None:
    charged: list[str] = []

    def fail(*_: Any) -> bytes:
        raise MemoryError

    keys = SimpleNamespace(new_key=lambda: SimpleNamespace(seal=fail))
    batch = batch_of(AtOnce(), seals=keys, charge=lambda client, _: charged.append(client))
    batch.add([msgspec.Raw(b"1")])
    with pytest.raises(MemoryError):
        batch.ended("0" * 64)
    assert charged == ["ann"]


def test_a_packer_takes_one_of_the_packing_places() -> None:
    places, is_one_left = Semaphore(1), []
    batch = batch_of(AtOnce(), packing=places, charge=lambda *_: is_one_left.append(places.acquire(blocking=False)))
    batch.add([msgspec.Raw(b"1")])
    assert is_one_left == [False]


def test_of_a_batch_that_is_given_up_nothing_is_packed_any_more() -> None:
    packers = Never()
    batch = batch_of(packers)
    for _ in range(2):
        batch.add([msgspec.Raw(b"1")])
    batch.discard()
    assert [one.cancelled() for one in packers.given] == [True, True]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_new_job_has_all_properties_of_its_batch(dry_run: bool) -> None:
    sender = replace(SENDER, care_plan=5, dry_run=dry_run, retry_of="another job", traceparent=TraceParent.of(TRACED))
    batch = batch_of(AtOnce(), sender=sender, bounds=replace(BOUNDS, items=2, size=20))
    batch.add([msgspec.Raw(item) for item in (b'{"case_Key":1}', b'{"case_Key":2}', b'{"case_Key":3}')])
    new, payloads = batch.ended("1" * 64)
    assert (new.client, new.user, new.database, new.care_plan) == ("ann", "her token", "demo", 5)
    assert (new.dry_run, new.strict, new.retry_of, str(new.traceparent)) == (dry_run, False, "another job", TRACED)
    assert (new.total, new.chunk_firsts, new.body_sha256) == (3, [0, 1, 2], "1" * 64)
    assert new.payload_bytes == sum(map(len, payloads.values())) + len(new.key_set)
    chunks = [unpack(payloads[number]) for number in range(3)]
    assert [(chunk.first, chunk.count, chunk.dry_run) for chunk in chunks] == [(at, 1, dry_run) for at in range(3)]


def test_a_new_job_has_the_keys_of_all_its_cases() -> None:
    batch = batch_of(AtOnce())
    for key in (1, 2, 3):
        batch.add([msgspec.Raw(b'{"case_Key":%d}' % key)])
    keys = KeySet.unpacked(batch.ended("0" * 64)[0].key_set)
    assert [keys.meets(KeySet(array("I", [key]))) for key in range(5)] == [False, True, True, True, False]


def test_chunks_of_any_number_of_items_are_known_by_their_first_ones() -> None:
    batch = batch_of(AtOnce(), bounds=replace(BOUNDS, items=3, size=10))
    batch.add([msgspec.Raw(item) for item in (b"1", b"2", b"3", b"12345678", b"123456789", b"6", b"7")])
    new, payloads = batch.ended("0" * 64)
    assert new.chunk_firsts == [unpack(payloads[number]).first for number in range(4)] == [0, 3, 4, 6]


def test_what_is_staged_counts_with_all_that_was_staged_before() -> None:
    """The storage limits are compared with the whole batch, however it is staged."""
    staged: list[Staging] = []
    sizes = [0]

    def stage(staging: Staging, payloads: dict[int, bytes]) -> Admission:
        staged.append(staging)
        sizes.append(sizes[-1] + sum(map(len, payloads.values())))
        return Admission(Admitted.STAGED, staging.job_id)

    batch = batch_of(AtOnce(), SimpleNamespace(stage=stage))
    for _ in range(5):
        batch.add([NOISE])
    new, last = batch.ended("0" * 64)
    assert [(one.size, one.chunks) for one in staged] == [(sizes[1], 2), (sizes[2], 4)]
    assert new.payload_bytes == sizes[-1] + sum(map(len, last.values())) + len(new.key_set)


def test_what_has_been_staged_is_no_longer_counted_as_memory() -> None:
    def stage(staging: Staging, _: dict[int, bytes]) -> Admission:
        return Admission(Admitted.STAGED, staging.job_id)

    batch, buffered_bytes = batch_of(AtOnce(), SimpleNamespace(stage=stage)), []
    for _ in range(20):
        batch.add([NOISE])
        buffered_bytes.append(batch.buffered_bytes)
    assert buffered_bytes[9] == buffered_bytes[19]


def test_a_batch_can_be_discarded_while_the_store_that_holds_its_chunks_is_away() -> None:
    """Staged chunks expire by themselves."""

    def away(_: Staging) -> None:
        raise StoreUnavailable("away")

    def stage(staging: Staging, _: dict[int, bytes]) -> Admission:
        return Admission(Admitted.STAGED, staging.job_id)

    batch = batch_of(AtOnce(), SimpleNamespace(stage=stage, discard=away))
    for _ in range(3):
        batch.add([NOISE])
    batch.ended("0" * 64)
    assert batch.is_busy, "what it has staged is to be dropped by another thread"
    batch.discard()


def test_a_batch_is_busy_while_its_chunks_are_packed() -> None:
    batch = batch_of(Never())
    assert not batch.is_busy
    batch.add([msgspec.Raw(b"1")])
    assert batch.is_busy


def test_keys_of_cases_are_counted_as_memory_until_the_end() -> None:
    kept, unkept = batch_of(AtOnce()), batch_of(AtOnce())
    for number in range(10):
        kept.add([msgspec.Raw(b'{"case_Key":%d}' % number)])
        unkept.add([msgspec.Raw(b'{"case_KeY":%d}' % number)])
    assert kept.buffered_bytes - unkept.buffered_bytes == 4 * 7, "those of three calls are still with their chunks"
