"""A received batch becomes a job with its weight, its key set and its webhooks."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.store.operations.admission import NewJob
from carecase_worker.store.pending_batch import Admissions, Sender


def made_of(*items: bytes, **sender: Any) -> NewJob:
    """The job that a batch of a client with a webhook would become."""
    bounds = ChunkLimits(items=100, size=1000, item_size=1000)
    with ThreadPoolExecutor() as packers:
        admissions = Admissions(cast(Any, None), bounds, 100, packers, webhooks={"ann": "crm:completed"})
        draft = admissions.draft(Sender("ann", "ann", "demo", None, **sender), UUID(int=7))
        draft.add([msgspec.Raw(item) for item in items])
        return draft.ended("0" * 64)[0]


@pytest.mark.parametrize(
    ("items", "weight"), [([b"1"], 1), ([b"1"] * 50, 50), ([b"1"] * 51, 0), ([b"1" * 298], 30), ([b"1" * 499], 0)]
)
def test_the_weight_of_a_batch_is_its_share_of_a_group_in_items_or_bytes(items: list[bytes], weight: int) -> None:
    """A group of few but large cases would put too many bytes into one transaction."""
    assert made_of(*items).weight == weight


def test_a_dry_run_goes_alone_and_nobody_waits_for_it_or_is_told_of_it() -> None:
    item = b'{"case_Key":1}'
    batch, dry_run = made_of(item), made_of(item, dry_run=True)
    assert (dry_run.weight, dry_run.webhooks, dry_run.key_set) == (0, "", b"")
    assert (batch.weight, batch.webhooks) == (2, "crm:completed")
    assert batch.key_set
