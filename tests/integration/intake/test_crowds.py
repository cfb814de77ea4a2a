"""Many connections at once, and much on one: who gives way to whom, and what nobody has to take."""

import asyncio
import json
import time
from contextlib import AsyncExitStack, suppress
from itertools import count
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from tests.integration.intake.connections.guarded import Download
from tests.integration.intake.own_time import Client, Service, elapse, in_own_time, served, settle

from carecase_worker.intake.http.middleware.access_log import add_log_fields

MOST = 3
BOUNDS = {"max_connections": MOST, "max_requests": 2, "max_headers": 32, "idle_timeout_seconds": 75}
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
KNOWN = GET.replace(b"GET /", b"GET /known")
pytestmark = pytest.mark.timeout(60)


class Application:
    """Answers with the number of the request, at once or when a test lets it; it knows who asks for /known."""

    def __init__(self) -> None:
        self.numbers = count()
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/known":
            add_log_fields(scope, client="ann")
        number = next(self.numbers)
        await self.answers.wait()
        headers = [(b"content-length", b"%d" % len(b"%d" % number))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"%d" % number})


async def connections(service: Service, stack: AsyncExitStack, number: int) -> list[Client]:
    return [await stack.enter_async_context(service.client()) for _ in range(number)]


async def open_of(clients: list[Client]) -> list[bool]:
    return [await client.is_open() for client in clients]


@pytest.mark.parametrize(("number", "closed"), [(MOST - 1, 0), (MOST, 0), (MOST + 1, 1), (2 * MOST, MOST)])
@in_own_time
async def test_so_many_are_open_and_the_oldest_gives_way_to_a_new_one(number: int, closed: int) -> None:
    async with served(Application(), **BOUNDS) as service, AsyncExitStack() as stack:
        clients = await connections(service, stack, number)
        assert await open_of(clients) == [False] * closed + [True] * (number - closed)
        assert len(service.state.connections) == number - closed
        await clients[-1].send(GET)
        assert (await clients[-1].answer()).endswith(b"\r\n\r\n0")


@in_own_time
async def test_one_that_has_ended_leaves_its_place() -> None:
    async with served(Application(), **BOUNDS) as service, AsyncExitStack() as stack:
        *others, last = await connections(service, stack, MOST)
        last.break_off()
        await settle()
        others += await connections(service, stack, 1)
        assert await open_of(others) == [True] * MOST


@pytest.mark.parametrize("sent", [b"", GET[:-2], GET[:1]], ids=["nothing", "a part of a head", "a byte"])
@in_own_time
async def test_who_has_asked_or_been_answered_later_stays_longer(sent: bytes) -> None:
    application = Application()
    async with served(application, **BOUNDS) as service, AsyncExitStack() as stack:
        clients = await connections(service, stack, MOST)
        await clients[0].send(GET)
        await clients[0].answer()
        application.answers.clear()
        await clients[1].send(GET)  # it is not answered, and nobody knows whose it is
        await clients[2].send(sent)
        ended = []
        for _ in range(MOST):
            clients += await connections(service, stack, 1)
            ended.append([place for place, is_open in enumerate(await open_of(clients)) if not is_open])
        assert ended == [[2], [0, 2], [0, 1, 2]]


@in_own_time
async def test_an_answer_counts_as_well_as_a_request_however_late_it_is() -> None:
    application = Application()
    async with served(application, **BOUNDS) as service, AsyncExitStack() as stack:
        clients = await connections(service, stack, MOST)
        application.answers.clear()
        await clients[0].send(GET)
        late, application.answers = application.answers, asyncio.Event()
        application.answers.set()
        for client in clients[1:]:
            await client.send(GET)
            await client.answer()
        late.set()
        await clients[0].answer()
        await connections(service, stack, 1)
        assert await open_of(clients) == [True, False, True]


@in_own_time
async def test_one_that_does_not_read_its_answer_gives_way_at_once() -> None:
    download = Download(200)
    async with served(download, max_connections=1) as service, service.client(1 << 16) as slow:
        await slow.send(GET)
        assert await download.waits()
        async with service.client() as later:
            await settle()
            assert len(service.state.connections) == 1
            assert await later.is_open()


@in_own_time
async def test_whoever_waits_for_a_known_caller_stays_until_it_is_answered() -> None:
    application = Application()
    application.answers.clear()
    async with served(application, **BOUNDS) as service, AsyncExitStack() as stack:
        clients = await connections(service, stack, MOST)
        for client in clients:
            await client.send(KNOWN)
        (late,) = await connections(service, stack, 1)
        top, _, body = (await late.rest()).partition(b"\r\n\r\n")
        problem = json.loads(body)
        assert problem["error"] == {
            "type": "urn:carecase:problem:http-503",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "Too many connections are open at the moment. Send the request again later.",
            "instance": "/",
        }
        assert top.decode().split("\r\n") == [
            "HTTP/1.1 503 ", "content-type: application/json", f"content-length: {len(body)}", "connection: close",
            "retry-after: 5",
        ]  # fmt: skip
        assert await open_of(clients) == [True] * MOST
        application.answers.set()
        for client in clients:
            await client.answer()
        late = (await connections(service, stack, 1))[0]
        await late.send(GET)
        assert (await late.answer()).startswith(b"HTTP/1.1 200 ")
        assert await open_of(clients) == [False, True, True]


@in_own_time
async def test_one_that_gives_way_leaves_nothing_behind() -> None:
    application = Application()
    application.answers.clear()
    async with served(application, **BOUNDS) as service, AsyncExitStack() as stack:
        clients = await connections(service, stack, 1)
        await clients[0].send(GET + GET[:5])
        await connections(service, stack, MOST)
        application.answers.set()
        await elapse(1)
        assert (len(service.state.connections), len(service.state.tasks)) == (MOST, 0)
        assert not await clients[0].is_open()


@pytest.mark.parametrize("known", [GET, KNOWN])
@pytest.mark.parametrize(("waiting", "is_taken"), [(31, True), (32, True), (33, False)])
@in_own_time
async def test_so_many_requests_may_wait_on_one_connection(waiting: int, is_taken: bool, known: bytes) -> None:
    application = Application()
    application.answers.clear()
    async with served(application, **BOUNDS) as service, service.client() as client:
        await client.send(known + GET * waiting)
        if not is_taken:
            assert not await client.is_open()
            assert not service.state.connections
            return
        application.answers.set()
        received = b""
        while received.count(b"HTTP/1.1 200 ") <= waiting or received.endswith(b"\r\n"):
            piece = await client.receive()
            assert piece, "it broke off"
            received += piece
        bodies = [one.rpartition(b"\r\n\r\n")[2] for one in received.split(b"HTTP/1.1 200 ")[1:]]
        assert [int(body) for body in bodies] == list(range(1 + waiting))


@pytest.mark.parametrize("number", [30, 31, 32])
@pytest.mark.parametrize("cut", [0, 1])
@in_own_time
async def test_a_head_has_so_many_headers(number: int, cut: int) -> None:
    """With Host, one more than it adds."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * number + b"\r\n"
    async with served(Application(), **BOUNDS) as service, service.client() as client:
        await client.send(head[: cut * 50])
        await client.send(head[cut * 50 :])
        status = b"200" if 1 + number <= 32 else b"431"
        assert (await client.answer()).startswith(b"HTTP/1.1 %b " % status)


@pytest.mark.parametrize(("length", "status"), [(7999, b"200"), (8000, b"200"), (8001, b"431")])
@pytest.mark.parametrize("beginning", [b"/", b"/?", b"http://x/"])
@in_own_time
async def test_a_target_is_so_long(length: int, status: bytes, beginning: bytes) -> None:
    target = beginning + b"y" * (length - len(beginning))
    async with served(Application(), **BOUNDS) as service, service.client() as client:
        await client.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        assert (await client.answer()).startswith(b"HTTP/1.1 %b " % status)


@pytest.mark.parametrize(("number", "status"), [(99, b"200"), (100, b"200"), (101, b"431")])
@in_own_time
async def test_a_target_has_so_many_parameters(number: int, status: bytes) -> None:
    query = "&".join(f"p{place}=x" for place in range(number)).encode()
    async with served(Application(), **BOUNDS) as service, service.client() as client:
        await client.send(b"GET /?%b HTTP/1.1\r\nHost: x\r\n\r\n" % query)
        assert (await client.answer()).startswith(b"HTTP/1.1 %b " % status)


NO_HTTP = (
    b"no HTTP\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 40,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
)


@pytest.mark.parametrize("behind", NO_HTTP)
@pytest.mark.parametrize(("ahead", "pause"), [(1, False), (1, True), (2, False)])  # with two ahead, no more is read
@in_own_time
async def test_what_is_refused_behind_other_requests_is_not_taken_for_their_answer(
    ahead: int, behind: bytes, pause: bool
) -> None:
    application = Application()
    application.answers.clear()
    async with served(application, **BOUNDS) as service, service.client() as client:
        if pause:
            await client.send(GET * ahead)
            await client.send(behind)
        else:
            await client.send(GET * ahead + behind)
        received = b""
        with suppress(ConnectionError):
            received = await client.rest()
        assert received == b""
        assert not service.state.connections


@pytest.mark.parametrize("behind", NO_HTTP)
@in_own_time
async def test_what_is_refused_behind_an_answer_is_logged(behind: bytes) -> None:
    async with served(Application(), **BOUNDS) as service, service.client() as client:
        await client.send(GET)
        await client.answer()
        await client.send(behind)
        document: dict[str, Any] = json.loads((await client.rest()).rpartition(b"\r\n\r\n")[2])
        assert document["error"]["status"] == (431 if b"x: y" in behind else 400)


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@in_own_time
async def test_who_offers_another_protocol_is_answered_in_this_one(protocol: bytes) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAMAAABk\r\n\r\n" % protocol
    async with served(Application(), **BOUNDS) as service, service.client() as client:
        await client.send(GET[:-2] + offer)
        assert (await client.answer()).endswith(b"\r\n\r\n0")


@in_own_time
async def test_the_log_has_so_many_lines_of_what_is_no_http() -> None:
    began = time.monotonic()
    with capture_logs() as logs:
        async with served(Application(), **BOUNDS, log_unknown_per_second=2) as service:
            for _ in range(30):
                async with service.client() as client:
                    await client.send(b"no HTTP\r\n\r\n")
                    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    seconds = time.monotonic() - began
    lines = [line for line in logs if line["event"] == "connection refused"]
    assert 2 <= len(lines) <= 2 * (1 + seconds)
