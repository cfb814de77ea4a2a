"""Dry runs of what is too large for one batch."""

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
