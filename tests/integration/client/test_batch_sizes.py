"""The size of the batches into which a program's cases are cut, by both kinds of client."""

import asyncio
import json
from typing import Any

import pytest
from tests.builders import a_case
from tests.peers import accepted, answering

from carecase_worker.client.api import connect, connect_async

CASES = [a_case(n) for n in range(5)]
TWO = len(json.dumps(CASES[:2], separators=(",", ":")))


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("limits", [{"batch_items": 2}, {"batch_bytes": TWO}], ids=str)
def test_no_batch_is_larger_than_its_caller_says(limits: dict[str, Any], is_async: bool) -> None:
    async def send(url: str) -> None:
        async with connect_async(url) as client:
            _ = [job async for job in client.submit_all(CASES, **limits)]

    with answering(*[accepted()] * 3) as peer:
        if is_async:
            asyncio.run(send(peer.url))
        else:
            with connect(peer.url) as client:
                list(client.submit_all(CASES, **limits))
    assert [json.loads(one.body) for one in peer.received] == [CASES[:2], CASES[2:4], CASES[4:]]
