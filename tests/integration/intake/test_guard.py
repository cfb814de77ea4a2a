"""The guard of a connection: how long a head, a body and an answer may take, how long a head may be."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from tests.integration.intake.own_time import Client, Service, elapse, in_own_time, served, settle

HEAD_S, IDLE_S, STALL_S, HEAD_BYTES = 10.0, 75.0, 30.0, 1024
GUARD = {
    "header_timeout_seconds": HEAD_S,
    "idle_timeout_seconds": IDLE_S,
    "stall_timeout_seconds": STALL_S,
    "max_header_bytes": HEAD_BYTES,
}
BLINK = 0.001
pytestmark = pytest.mark.timeout(300)  # of the time that does not stand still: what is not let go would be awaited
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


async def done(send: Send, body: bytes = b"done") -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a look at the body."""
    await done(send)


class Held:
    """Answers once it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.go_on.wait()
        await done(send)


class Download:
    """Answers with many pieces, as fast as the client reads them."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self.pieces):
            await send({"type": "http.response.body", "body": b"x" * (1 << 16), "more_body": True})
            self.sent += 1
        await send({"type": "http.response.body", "body": b""})

    async def waits(self) -> bool:
        """Tell if it waits for the client, rather than being at an end."""
        before = -1
        while before != self.sent:
            before = self.sent
            await settle()
        return self.sent < self.pieces


async def read_on(client: Client, download: Download) -> bytes:
    """Read until the service has sent another piece."""
    received, before = b"", download.sent
    while download.sent == before:
        piece = await client.receive()
        assert piece, "the answer broke off"
        received += piece
        await settle()
    return received


def problem_of(answer: bytes) -> dict[str, Any]:
    """The problem that an answer of the guard holds; it says that the connection ends."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error = dict(json.loads(body)["error"])
    lines = head.decode().split("\r\n")
    assert lines[0].split()[:2] == ["HTTP/1.1", str(error["status"])]
    assert lines[1:] == ["content-type: application/json", f"content-length: {len(body)}", "connection: close"]
    return error


def nobody(service: Service) -> bool:
    return not service.state.connections and not service.state.tasks


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
async def test_a_reader_that_stalls_is_let_go_with_all_that_it_held() -> None:
    download = Download(200)
    async with served(download, **GUARD) as service, service.client(1 << 16) as client:
        await client.send(GET)
        assert await download.waits()
        await elapse(STALL_S - BLINK)
        assert len(service.state.connections) == 1
        await elapse(BLINK)
        assert nobody(service)


@pytest.mark.parametrize(
    ("sent", "status"), [(b"", None), (b"\r\n", 408), (b"G", 408), (GET[:-4], 408), (GET[:-1], 408), (GET[:20], 408)]
)
@in_own_time
async def test_a_head_has_its_time_and_no_more(sent: bytes, status: int | None) -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(sent)
        await elapse(HEAD_S - BLINK)
        assert await client.is_open()
        await elapse(BLINK)
        answer = await client.rest()
        assert (problem_of(answer)["status"] if status else answer) == (status or b"")
        assert nobody(service)


@in_own_time
async def test_a_head_that_comes_drop_by_drop_has_no_more_time() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        for byte in GET[:20]:
            await client.send(bytes([byte]))
            await elapse(HEAD_S / 20)
        assert problem_of(await client.rest()) == {
            "type": "urn:carecase:problem:http-408",
            "title": "Request Timeout",
            "status": 408,
            "detail": "The request took too long to arrive. Send it again.",
            "instance": "/",
        }
        assert nobody(service)


@in_own_time
async def test_each_head_of_a_connection_has_its_own_time() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        for _ in range(3):
            await client.send(GET[:10])
            await elapse(HEAD_S - BLINK)
            await client.send(GET[10:])
            assert (await client.answer()).endswith(b"done")
            await elapse(IDLE_S - BLINK)
        await client.send(GET[:10])
        await elapse(HEAD_S)
        assert problem_of(await client.rest())["status"] == 408
        assert nobody(service)


@in_own_time
async def test_the_head_of_the_next_request_is_not_late_while_an_answer_is_awaited() -> None:
    held = Held()
    async with served(held, **GUARD) as service, service.client() as client:
        await client.send(GET + GET[:10])
        for _ in range(5):
            await elapse(HEAD_S)
        assert await client.is_open()
        held.go_on.set()
        assert (await client.answer()).endswith(b"done")
        await elapse(HEAD_S)
        assert problem_of(await client.rest())["status"] == 408
        assert nobody(service)


@in_own_time
async def test_a_connection_without_a_request_is_closed_after_its_time() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(GET)
        await client.answer()
        await elapse(IDLE_S - BLINK)
        assert await client.is_open()
        await elapse(BLINK)
        assert await client.rest() == b""
        assert nobody(service)


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
            answer = await (client.answer() if status == 200 else client.rest())
            assert answer.startswith(b"HTTP/1.1 %d " % status)
        if status == 431:
            assert (
                problem_of(answer)["detail"]
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


@in_own_time
async def test_what_is_no_http_behind_a_request_ends_its_answer_and_is_no_part_of_it() -> None:
    download = Download(200)
    async with served(download, **GUARD) as service, service.client(1 << 16) as client:
        await client.send(GET)
        assert await download.waits()
        await client.send(b"no HTTP\r\n\r\n")
        assert nobody(service)
        received = b""
        with suppress(ConnectionError):
            while piece := await client.receive():
                received += piece
        assert (received.count(b"HTTP/1.1 "), received.endswith(b"\r\n0\r\n\r\n")) == (1, False)


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
