"""A head, and what comes around the chunks of a body, may be as long as configured; a body of any size is no head."""

import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from tests.integration.intake.connections.guarded import (
    GET,
    GUARD,
    HEAD_BYTES,
    IDLE_S,
    Download,
    Held,
    at_once,
    done,
    nobody,
    problem_of,
)
from tests.integration.intake.own_time import elapse, in_own_time, served

pytestmark = pytest.mark.timeout(300)  # of the time that does not stand still: what is not let go would be awaited


def head_of(size: int, in_url: bool) -> bytes:
    """A request's line and headers, of so many bytes."""
    long, end = b"GET /%b HTTP/1.1\r\nHost: x\r\nX-Long: %b\r\n\r\n", b"y"
    padding = end * (size - len(long) + 4)
    return long % ((padding, b"") if in_url else (b"", padding))


@pytest.mark.parametrize("in_url", [True, False])
@pytest.mark.parametrize("cut", [1, 7, HEAD_BYTES // 2, HEAD_BYTES + 1])
@pytest.mark.parametrize(("more", "status"), [(-1, 200), (0, 200), (1, 431)])
@in_own_time
async def test_a_head_may_be_as_long_as_configured_however_it_is_cut(
    in_url: bool, cut: int, more: int, status: int
) -> None:
    head = head_of(HEAD_BYTES + more, in_url)
    assert len(head) == HEAD_BYTES + more
    async with served(at_once, **GUARD) as service, service.client() as client:
        for _ in range(2 if status == 200 else 1):
            for start in range(0, len(head), cut):
                await client.send(head[start : start + cut])
            response = await (client.answer() if status == 200 else client.rest())
            assert response.startswith(b"HTTP/1.1 %d " % status)
        if status == 431:
            assert (
                problem_of(response)["detail"]
                == "The request line and headers are too large. Send fewer or shorter headers."
            )
            assert nobody(service)


@pytest.mark.parametrize("more", [b"", b"\r\nX: y\r\n"], ids=["within a header", "behind one"])
@in_own_time
async def test_a_head_that_is_too_long_is_refused_before_its_end(more: bytes) -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nX-Long: " + b"y" * HEAD_BYTES + more)
        assert problem_of(await client.rest())["status"] == 431
        assert nobody(service)


CHUNKED = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"


@pytest.mark.parametrize("beginning", [b"0\r\nX-Trailer: ", b"3;extension="])
@pytest.mark.parametrize(("more", "is_taken"), [(0, True), (1, False)])
@in_own_time
async def test_what_comes_around_the_chunks_of_a_body_may_be_as_long_as_a_head(
    beginning: bytes, more: int, is_taken: bool
) -> None:
    async with served(Held(), **GUARD) as service, service.client() as client:
        await client.send(CHUNKED)
        await client.send(beginning + b"y" * (HEAD_BYTES - 100 - len(beginning)))
        await client.send(b"y" * (100 + more))
        if is_taken:
            assert await client.is_open()
        else:
            assert problem_of(await client.rest())["status"] == 431
            assert not service.state.connections


@in_own_time
async def test_what_came_around_the_chunks_of_a_body_does_not_count_for_the_next_head() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(CHUNKED)
        await client.answer()
        await client.send(b"0\r\nX-Trailer: " + b"y" * (HEAD_BYTES - 200))
        await client.send(b"\r\n\r\n")
        await client.send(GET[:-2] + b"X-Long: " + b"y" * 200)
        await client.send(b"y\r\n\r\n")
        assert (await client.answer()).endswith(b"done")


@in_own_time
async def test_what_comes_behind_the_chunks_of_a_body_is_no_header_of_its_request() -> None:
    async def headers(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await done(send, b",".join(name for name, _ in scope["headers"]))

    async with served(headers, **GUARD) as service, service.client() as client:
        await client.send(CHUNKED + b"0\r\nX-API-Key: of another\r\n\r\n")
        assert (await client.answer()).endswith(b"\r\n\r\nhost,transfer-encoding")


@in_own_time
async def test_a_body_of_any_size_in_any_number_of_chunks_is_no_head() -> None:
    head = CHUNKED.replace(b"Host: x", b"Host: x\r\nX-Long: " + b"y" * (HEAD_BYTES - 200))
    async with served(Download(1), **GUARD) as service, service.client() as client:
        await client.send(head[: HEAD_BYTES - 150])
        await client.send(head[HEAD_BYTES - 150 : -len(b"3\r\nabc\r\n")])
        await client.send(b"3;" + b"e" * (HEAD_BYTES - 100))
        await client.send(b"\r\n" + b"abc\r\n")
        await client.send(b"%x\r\n%b\r\n" % (2 * HEAD_BYTES, bytes(2 * HEAD_BYTES)))
        for _ in range(HEAD_BYTES // 4):
            await client.send(b"3\r\n")
            await client.send(b"abc")
            await client.send(b"\r\n")
        await client.send(b"0\r\nX: y\r\n\r\n" + GET)
        received = b""
        while received.count(b"0\r\n\r\n") < 2:
            received += await client.receive()
        assert received.count(b"HTTP/1.1 200 ") == 2
        await elapse(IDLE_S)
        assert nobody(service)
