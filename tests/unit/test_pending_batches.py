"""A batch while it is received: its packing is bounded and charged for, and ends with it; a refusal ends the batch."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from random import Random
from threading import Semaphore
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.errors import BacklogFull
from carecase_worker.store.operations.admission import Admission, Admitted
from carecase_worker.store.pending_batch import Admissions, PendingBatch, Sender

BOUNDS = ChunkLimits(items=1, size=1 << 21, item_size=1 << 21)
NOISE = msgspec.Raw(b'"%b"' % Random(1).randbytes(600_000).hex().encode())
"""An item of which two are staged at a time."""


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


def batch_of(packers: Executor, store: Any = None, **others: Any) -> PendingBatch:
    admissions = Admissions(cast(Any, store), BOUNDS, 100, packers, **others)
    return admissions.draft(Sender("ann", "her token", "demo", None), UUID(int=7))


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


def test_a_packer_has_one_of_the_places_of_those_that_pack_at_the_same_time() -> None:
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
