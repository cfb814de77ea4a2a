"""How long the client waits for a job, by both kinds of it."""

import asyncio

import pytest
from tests.peers import JOB, answering, job_reply

from carecase_worker.client.api import connect, connect_async
from carecase_worker.errors import JobNotFinal


def test_a_wait_ends_with_its_timeout_whether_it_blocks_or_not() -> None:
    async def waited_without_blocking(url: str) -> None:
        async with connect_async(url) as client:
            await client.wait(JOB, timeout=0)

    def waited(url: str) -> None:
        with connect(url) as client:
            client.wait(JOB, timeout=0)

    for wait in (waited, lambda url: asyncio.run(waited_without_blocking(url))):
        with answering(job_reply(state="running"), job_reply()) as peer, pytest.raises(JobNotFinal):
            wait(peer.url)
