"""Bytes that come once the answer was sent: the rest of the body, or no HTTP."""

from contextlib import suppress

import pytest
from tests.integration.intake.connections.guarded import (
    BLINK,
    GET,
    GUARD,
    IDLE_S,
    PUT,
    STALL_S,
    Download,
    at_once,
    nobody,
)
from tests.integration.intake.own_time import elapse, in_own_time, served

pytestmark = pytest.mark.timeout(300)  # of the time that does not stand still: what is not let go would be awaited


@in_own_time
async def test_a_body_that_nobody_waits_for_may_go_on_for_a_while() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(PUT)
        assert (await client.answer()).endswith(b"done")
        await elapse(STALL_S / 2)
        await client.send(b"y" * 500)
        await elapse(STALL_S / 2 - BLINK)
        assert await client.is_open()
        await elapse(BLINK)
        assert not await client.is_open()
        assert nobody(service)


@in_own_time
async def test_a_body_that_comes_whole_after_its_answer_leaves_the_connection_as_after_any_request() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(PUT)
        assert (await client.answer()).endswith(b"done")
        await client.send(b"y" * 1000)
        await elapse(STALL_S)
        assert await client.is_open()
        await client.send(GET)
        assert (await client.answer()).endswith(b"done")

        await client.send(PUT)
        await client.answer()
        await client.send(b"y" * 1000)
        await elapse(IDLE_S)
        assert await client.rest() == b""
        assert nobody(service)


@pytest.mark.parametrize(
    ("sent", "behind"),
    [
        (GET, b"no HTTP\r\n\r\n"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"zz\r\n"),
    ],
    ids=["another request", "the rest of its body"],
)
@in_own_time
async def test_what_is_no_http_behind_a_request_ends_its_answer_and_is_no_part_of_it(
    sent: bytes, behind: bytes
) -> None:
    download = Download(200)
    async with served(download, **GUARD) as service, service.client(1 << 16) as client:
        await client.send(sent)
        assert await download.waits()
        await client.send(behind)
        assert nobody(service)
        received = b""
        with suppress(ConnectionError):
            while piece := await client.receive():
                received += piece
        assert (received.count(b"HTTP/1.1 "), received.endswith(b"\r\n0\r\n\r\n")) == (1, False)
