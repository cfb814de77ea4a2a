"""The client without blocking: cases of a list and of an asynchronous iterator are sent by the same options."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.builders import a_case
from tests.peers import accepted, answering

from carecase_worker.client.api import connect_async

CASES = [a_case(n) for n in range(3)]


async def stream(cases: list[Any]) -> AsyncIterator[Any]:
    for case in cases:
        yield case


async def sent_in_each_way(url: str) -> None:
    async with connect_async(url) as client:
        for cases in (CASES, stream(CASES)):
            await client.submit(cases, 5, "key", strict=True)
        for cases in (CASES, stream(CASES)):
            await client.submit(cases, dry_run=True)


def test_without_blocking_cases_are_sent_alike_wherever_they_come_from() -> None:
    with answering(*[accepted()] * 4) as peer:
        asyncio.run(sent_in_each_way(peer.url))
    sent = [(one.path, one.headers.get("prefer")) for one in peer.received]
    assert (
        sent == [("/care-plans/5/cases-batch", "handling=strict")] * 2 + [("/care-cases-batch?dryRun=true", None)] * 2
    )
    assert [one.headers["idempotency-key"] for one in peer.received[:2]] == ["key"] * 2
