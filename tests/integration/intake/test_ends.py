"""Connections that end before their requests do: what was whole is answered, and nothing stays in memory."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.integration.intake.connections.guarded import GET, Download, nobody
from tests.integration.intake.own_time import elapse, in_own_time, served, settle

PUT = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"
LARGE = 16 << 20
pytestmark = pytest.mark.timeout(300)


class Reader:
    """Reads the body, and answers with it or, if it broke off, with 400; takes its time if a test wants that."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.read = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.go_on.wait()
        try:
            async for piece in Request(scope, receive).stream():
                self.read += piece
        except ClientDisconnect:
            await Response(b"broke off", 400)(scope, receive, send)
            return
        await settle()  # as whoever has something to do before it answers
        await Response(self.read, 200)(scope, receive, send)


async def until_client_leaves(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer only if the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("sent", [PUT, PUT + b"abcde", CHUNKED, CHUNKED + b"7\r\nab"])
@pytest.mark.parametrize("is_busy", [False, True])
@in_own_time
async def test_a_body_that_breaks_off_is_answered_if_its_client_still_reads(sent: bytes, is_busy: bool) -> None:
    reader = Reader()
    async with served(reader) as service, service.client() as client:
        if is_busy:
            reader.go_on.clear()
        await client.send(sent)
        client.end_side()
        await settle()
        reader.go_on.set()
        response = await client.rest()
        assert response.startswith(b"HTTP/1.1 400 ")
        assert response.endswith(b"broke off")
        assert response.count(b"connection: close") == 1
        assert reader.read == {PUT: b"", CHUNKED + b"7\r\nab": b"abcdeab"}.get(sent, b"abcde")
        assert nobody(service)


@pytest.mark.parametrize(("whole", "body"), [(PUT + b"abcdeABCDE", b"abcdeABCDE"), (GET, b"")])
@in_own_time
async def test_what_was_whole_before_a_body_that_breaks_off_is_answered_too(whole: bytes, body: bytes) -> None:
    reader = Reader()
    async with served(reader) as service, service.client() as client:
        reader.go_on.clear()
        await client.send(GET + whole + PUT + b"abc")
        client.end_side()
        await settle()
        reader.go_on.set()
        responses = (await client.rest()).split(b"HTTP/1.1 ")
        assert [response[:3] for response in responses[1:]] == [b"200", b"200", b"400"]
        assert responses[2].endswith(b"\r\n\r\n" + body)
        assert nobody(service)


@pytest.mark.parametrize("sent", [b"", GET[:-1], GET[:5]])
@in_own_time
async def test_a_head_that_breaks_off_is_nothing_to_answer(sent: bytes) -> None:
    async with served(Reader()) as service, service.client() as client:
        await client.send(sent)
        client.end_side()
        assert await client.rest() == b""
        assert nobody(service)
    async with served(Reader()) as service, service.client() as client:
        await client.send(GET + sent)
        client.end_side()
        assert (await client.rest()).count(b"HTTP/1.1 200") == 1
        assert nobody(service)


@in_own_time
async def test_who_has_ended_its_side_gets_the_answer_and_then_the_end() -> None:
    reader = Reader()
    async with served(reader) as service, service.client() as client:
        reader.go_on.clear()
        await client.send(PUT + b"abcdeABCDE")
        client.end_side()
        for _ in range(5):
            await elapse(100)
        assert len(service.state.connections) == 1
        reader.go_on.set()
        assert (await client.rest()).endswith(b"abcdeABCDE")
        assert nobody(service)


@in_own_time
async def test_a_side_that_ends_behind_an_early_answer_ends_the_connection() -> None:
    async with served(Response(b"no", 401)) as service, service.client() as client:
        await client.send(PUT + b"abc")
        assert (await client.answer()).endswith(b"no")
        client.end_side()
        assert await client.rest() == b""
        assert nobody(service)


@pytest.mark.parametrize("sent", [b"", GET[:5], PUT, PUT + b"abc", GET, GET + PUT, GET + GET])
@in_own_time
async def test_a_connection_that_breaks_leaves_nothing_in_memory(sent: bytes) -> None:
    async with served(until_client_leaves) as service, service.client() as client:
        await client.send(sent)
        assert len(service.state.tasks) == (sent[:4] in (PUT[:4], GET[:4]) and b"\r\n\r\n" in sent)
        client.break_off()
        await settle()
        assert nobody(service)


@in_own_time
async def test_a_download_that_breaks_leaves_nothing_in_memory() -> None:
    download = Download(200)
    async with served(download) as service, service.client(1 << 16) as client:
        await client.send(GET)
        assert await download.waits()
        client.break_off()
        await settle()
        assert not service.state.connections
        while service.state.tasks:  # what is left of it is written to nobody
            await settle()


@in_own_time
async def test_an_answer_that_breaks_off_does_not_look_whole_to_a_client_of_http_1_0() -> None:
    async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a part", "more_body": True})

    async with served(breaks_off) as service, service.client() as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionError):
            await client.rest()
        assert nobody(service)


@in_own_time
async def test_a_head_that_is_late_behind_the_last_answer_is_no_part_of_it() -> None:
    """The client has not read that answer yet, which is why the connection is still there."""

    async def last(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % LARGE), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * LARGE})

    times = {"header_timeout_seconds": 10.0, "stall_timeout_seconds": 30.0}
    async with served(last, **times) as service, service.client(1 << 16) as client:
        await client.send(GET + b"GET / HT")
        await elapse(10.001)
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert body == b"x" * LARGE
        assert nobody(service)
