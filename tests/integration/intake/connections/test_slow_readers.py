"""A reader that goes on reading gets the whole answer; one that stalls is disconnected."""

import pytest
from tests.integration.intake.connections.guarded import BLINK, GET, GUARD, STALL_S, Download, nobody, read_on
from tests.integration.intake.own_time import elapse, in_own_time, served

pytestmark = pytest.mark.timeout(300)  # of the time that does not stand still: what is not let go would be awaited


@in_own_time
async def test_a_reader_that_is_slow_but_steady_gets_the_whole_answer() -> None:
    download, pauses, received = Download(200), 0, b""
    async with served(download, **GUARD) as service, service.client(1 << 16) as client:
        await client.send(GET)
        while await download.waits():
            pauses += 1
            await elapse(STALL_S - BLINK)
            received += await read_on(client, download)
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += await client.receive()
    assert pauses > 3
    assert received.count(b"x") == download.pieces << 16


@in_own_time
async def test_a_reader_that_stalls_is_disconnected_and_its_memory_freed() -> None:
    download = Download(200)
    async with served(download, **GUARD) as service, service.client(1 << 16) as client:
        await client.send(GET)
        assert await download.waits()
        await elapse(STALL_S - BLINK)
        assert len(service.state.connections) == 1
        await elapse(BLINK)
        assert nobody(service)
