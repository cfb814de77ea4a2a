"""The end of a client: it leaves no connection open."""

import asyncio

import pytest
from tests.peers import JOB, answering, job_reply

from carecase_worker.client.api import connect, connect_async


def test_at_the_end_of_its_block_a_client_of_either_kind_has_closed_its_connections() -> None:
    """Otherwise, a process that makes a client for each batch would collect connections."""

    async def leave(url: str) -> None:
        async with connect_async(url) as client:
            await client.job(JOB)
        with pytest.raises(RuntimeError, match="has been closed"):
            await client.job(JOB)

    with answering(job_reply(), job_reply()) as peer:
        asyncio.run(leave(peer.url))
        with connect(peer.url) as client:
            client.job(JOB)
        with pytest.raises(RuntimeError, match="has been closed"):
            client.job(JOB)
