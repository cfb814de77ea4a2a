"""Dry runs of what is too large for one batch, and the keys of its parts."""

import asyncio

import pytest
from tests.builders import a_case
from tests.peers import accepted, answering

from carecase_worker.client.api import connect, connect_async

CASES = [a_case(n) for n in range(3)]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_dry_run_of_many_batches_is_one_of_each(is_async: bool) -> None:
    async def send(url: str) -> None:
        async with connect_async(url, database="d") as client:
            _ = [job async for job in client.submit_all(CASES, batch_items=2, dry_run=True)]

    with answering(accepted(), accepted()) as peer:
        if is_async:
            asyncio.run(send(peer.url))
        else:
            with connect(peer.url, database="d") as client:
                list(client.submit_all(CASES, batch_items=2, dry_run=True))
    assert peer.calls == ["PUT /care-cases-batch?dryRun=true"] * 2


@pytest.mark.parametrize("length", [1, 253, 254, 255])
def test_each_part_has_a_key_that_the_service_takes_and_always_the_same(length: int) -> None:
    def keys() -> list[str]:
        with answering(accepted(), accepted()) as peer, connect(peer.url, database="d") as client:
            list(client.submit_all(CASES, idempotency_key="k" * length, batch_items=2))
        return [one.headers["idempotency-key"] for one in peer.received]

    first, second = keys()
    assert (first, len(second) <= 255, second != first) == ("k" * length, True, True)
    assert [first, second] == keys()
