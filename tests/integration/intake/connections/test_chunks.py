"""Chunks of a body, however small: the parser reads them, and the application gets what came together as one piece."""

import sys
from types import FrameType

import pytest
from starlette.types import Receive, Scope, Send
from tests.integration.intake.connections.guarded import GUARD, done
from tests.integration.intake.own_time import in_own_time, served

HEAD = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = 10_000


async def measured(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await done(send, b"%d" % size)


@pytest.mark.parametrize("size", [1, 2, 15])
@in_own_time
async def test_a_chunk_costs_no_call_of_a_function(size: int) -> None:
    """A call for each takes many times what the parser does, and anybody may send a body in single bytes."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    async with served(measured, **GUARD) as service, service.client() as client:
        await client.send(HEAD)
        usual = sys.getprofile()
        sys.setprofile(count)
        try:
            await client.send(b"%x\r\n%b\r\n" % (size, b"x" * size) * CHUNKS + b"0\r\n\r\n")
        finally:
            sys.setprofile(usual)
        assert (await client.answer()).endswith(b"\r\n\r\n%d" % (size * CHUNKS))
    assert calls < CHUNKS / 10
