"""The check of a batch that is not kept: it has a bound, and nothing beyond that is judged."""

from datetime import UTC, datetime

import msgspec
import pytest

from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.cases.validation import Rules
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.batches.validate_only import BatchCheck
from carecase_worker.intake.jobs.result_formats import CsvResult, JsonResult, ResultFormat

MOST = 20_000
TOO_DEEP = msgspec.Raw(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
"""An item that cannot be judged: whoever tries gets the answer that the body is nested too deeply."""


def a_check(form: ResultFormat | None = None, items: int = 1) -> BatchCheck:
    rules = Rules(None, "ann", datetime(2026, 11, 25, tzinfo=UTC))
    return BatchCheck(rules, ChunkLimits(items, 1 << 20, 1 << 18), form or JsonResult("application/json"))


def test_of_too_many_items_none_is_judged() -> None:
    """To judge one that breaks rules takes a hundred times as long as to receive it."""
    with pytest.raises(BatchRefused) as refusal:
        a_check().add([TOO_DEEP, *[msgspec.Raw(b"{}")] * MOST])
    assert refusal.value.fault is BatchFault.TOO_MANY_ITEMS


def test_as_many_as_may_be_are_judged() -> None:
    check = a_check()
    check.add([msgspec.Raw(b"1")] * (MOST - 1))
    check.add([msgspec.Raw(b"1")])
    assert check.total == MOST
    with pytest.raises(BatchRefused, match=r"at most 20000 items"):
        check.add([msgspec.Raw(b"1")])


def test_an_item_that_is_nested_too_deeply_to_be_judged_is_reported() -> None:
    with pytest.raises(BatchRefused) as refusal:
        a_check().add([TOO_DEEP])
    assert (refusal.value.fault, str(refusal.value)) == (
        BatchFault.NOT_JSON,
        "The body is nested too deeply. Send an array of CareCase objects.",
    )


def test_what_has_been_judged_is_counted_as_memory_with_what_has_not() -> None:
    check = a_check()
    check.add([msgspec.Raw(b"1")] * 100)
    counted_bytes = check.buffered_bytes
    assert counted_bytes == sum(map(len, check.finish())) > 100


def test_what_has_not_been_judged_yet_is_counted_as_memory() -> None:
    check = a_check(items=1000)
    check.add([msgspec.Raw(b"1" * 100)] * 100)
    assert check.buffered_bytes >= 100 * 100


def test_rows_of_a_large_batch_have_their_indices_in_the_batch() -> None:
    check = a_check(CsvResult(), items=2)
    check.add([msgspec.Raw(b"1")] * 5)
    assert [row.partition(b",")[0] for row in b"".join(check.finish()).splitlines()] == [b"0", b"1", b"2", b"3", b"4"]


def test_an_item_that_is_too_large_is_reported_as_that() -> None:
    check = a_check()
    check.add([msgspec.Raw(b'{"x":"%b"}' % (b"y" * (1 << 18)))])
    (judged,) = check.finish()
    assert b'"status":422,"body":"item: must have at most 262144 bytes"' in judged
