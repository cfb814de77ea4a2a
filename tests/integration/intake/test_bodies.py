"""Bodies that do not come to their end: what was kept of them goes at once, and whoever still reads gets an answer."""

import base64
import json
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest
import redis
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.integration.intake.answers import GUARDED
from tests.integration.intake.intakes import Intake, an_intake, settings_of
from tests.integration.intake.own_time import elapse, in_own_time, served
from tests.services import Services

from carecase_worker.intake.app import create_app

BODY_S, BLINK, LEAST = 20.0, 0.001, 100
SLOW = {"body_timeout_seconds": BODY_S, "body_least_bytes_per_second": LEAST}
SEEDED = random.Random(7)


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "bodies:", jobs={"chunk_items": 100}) as started:
        yield started


def head(intake: Intake, path: str, *lines: str, name: str = "ann") -> bytes:
    """The line and the headers of a batch that comes in chunks."""
    with intake.client(name) as client:
        names = ("x-api-key", "authorization", "vbasoftware-database", "content-type")
        given = [f"{name}: {client.headers[name]}" for name in names]
    return "\r\n".join([f"PUT {path} HTTP/1.1", "host: x", *given, *lines, "", ""]).encode()


def beginning(items: int) -> bytes:
    """The beginning of an array, of items that no compression makes smaller."""
    cases = (
        json.dumps(a_case(key, x=base64.b85encode(SEEDED.randbytes(3000)).decode())).encode() for key in range(items)
    )
    return b"[" + b",".join(cases)


@contextmanager
def staged(intake: Intake) -> Iterator[tuple[socket.socket, Callable[[], bool]]]:
    """A connection on which so much of a body has come that some of it is kept, and whether it still is."""
    address = urlsplit(intake.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=60) as connection,
        redis.Redis.from_url(intake.settings.redis.url.get_secret_value()) as server,
    ):
        pattern = f"{intake.settings.redis.prefix}payload:*"
        before = set(server.scan_iter(pattern, count=1000))
        connection.sendall(head(intake, "/care-cases-batch", "transfer-encoding: chunked"))
        piece = beginning(2000)
        connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        eventually(lambda: set(server.scan_iter(pattern, count=1000)) - before, what="a part is kept")
        yield connection, lambda: bool(set(server.scan_iter(pattern, count=1000)) - before)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    return received


def error_in(response: bytes) -> tuple[str, str]:
    """The problem and the words of an answer that ends the connection."""
    top, _, body = response.partition(b"\r\n\r\n")
    assert top.lower().count(b"\r\nconnection: close") == 1
    error = json.loads(body)["error"]
    assert top.startswith(b"HTTP/1.1 %d " % error["status"])
    for name, value in GUARDED.items():
        assert f"\r\n{name}: {value}".encode() in top
    return error["type"].rpartition(":")[2], error["detail"]


def test_a_client_that_ends_its_side_within_a_body_gets_an_answer_and_nothing_is_kept(intake: Intake) -> None:
    with staged(intake) as (connection, is_kept):
        connection.shutdown(socket.SHUT_WR)
        assert error_in(read_all(connection)) == ("broken-off", "The request broke off. Send it again.")
        assert not is_kept()


def test_of_a_client_that_is_gone_nothing_is_kept(intake: Intake) -> None:
    with staged(intake) as (connection, is_kept):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
        connection.close()
        eventually(lambda: not is_kept(), what="it is dropped")


def test_of_a_body_that_is_refused_on_its_way_nothing_is_kept(intake: Intake) -> None:
    with staged(intake) as (connection, is_kept):
        connection.sendall(b"3\r\n}}}\r\n0\r\n\r\n")
        assert b'"urn:carecase:problem:not-json"' in connection.recv(1 << 16)
        assert not is_kept()


@in_own_time
async def test_each_piece_of_a_body_has_its_time(servers: Services) -> None:
    settings = settings_of(servers.redis_url, "late:", intake=SLOW)
    app = create_app(settings)
    async with served(app, header_timeout_seconds=1000) as service, service.client() as client:
        sending = Intake("", settings, None)  # type: ignore[arg-type]
        await client.send(head(sending, "/care-cases-batch", "content-length: 100000", "expect: 100-continue"))
        assert (await client.receive()).startswith(b"HTTP/1.1 100 "), "the body is awaited"
        for _ in range(3):
            await elapse(BODY_S - BLINK)
            await client.send(b" " * int(LEAST * BODY_S))  # as much as gives it that time again
        await elapse(BODY_S - BLINK)
        assert await client.is_open()
        await elapse(BLINK)
        words = "The body did not arrive in time. Send the request again."
        assert error_in(await client.rest()) == ("too-slow", words)


@in_own_time
async def test_a_body_that_only_trickles_has_no_more_time_than_its_bytes_give_it(servers: Services) -> None:
    app = create_app(settings_of(servers.redis_url, "trickle:", intake=SLOW))
    async with served(app, header_timeout_seconds=1000) as service, service.client() as client:
        sending = Intake("", settings_of(servers.redis_url, "trickle:"), None)  # type: ignore[arg-type]
        await client.send(head(sending, "/care-cases-batch", "content-length: 100000", "expect: 100-continue"))
        assert (await client.receive()).startswith(b"HTTP/1.1 100 "), "the body is awaited"
        await elapse(BODY_S - 1)
        await client.send(b" " * LEAST)  # a second's worth
        await elapse(2 - BLINK)
        assert await client.is_open()
        await elapse(2 * BLINK)
        words = "The body did not arrive in time. Send the request again."
        assert error_in(await client.rest()) == ("too-slow", words)


LARGE = 1000
ANNOUNCED = f"content-length: {LARGE + 1}"


def opened(
    intake: Intake, stack: ExitStack, path: str = "/care-cases-batch", name: str = "ann", framed: str = ANNOUNCED
) -> socket.socket:
    """A connection on which a body is awaited, or refused."""
    address = urlsplit(intake.url)
    connection = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
    request_head = head(intake, path, framed, "expect: 100-continue", name=name)
    connection.sendall(request_head)
    return connection


@pytest.mark.parametrize("path", ["/care-cases-batch", "/care-cases-batch?validateOnly=true"])
def test_a_client_has_so_many_bodies_open_and_all_have_so_many(servers: Services, path: str) -> None:
    bounds = {"large_body_bytes": LARGE, "max_bodies": 3, "max_bodies_per_client": 2}
    with an_intake(servers.redis_url, "open:", intake=bounds) as intake, ExitStack() as stack:
        mine = [opened(intake, stack, path) for _ in range(2)]
        assert [one.recv(100)[:12] for one in mine] == [b"HTTP/1.1 100"] * 2
        assert opened(intake, stack, path).recv(100).startswith(b"HTTP/1.1 429 ")
        others = opened(intake, stack, path, "bob")
        assert others.recv(100).startswith(b"HTTP/1.1 100 ")
        assert opened(intake, stack, path, "bob").recv(100).startswith(b"HTTP/1.1 503 ")
        small = [opened(intake, stack, path, name, f"content-length: {LARGE}") for name in ("ann", "bob") * 5]
        assert [one.recv(100)[:12] for one in small] == [b"HTTP/1.1 100"] * 10, "small ones do not count"
        for one in mine:
            one.sendall(b"[1]" + b" " * (LARGE - 2))
            response = HTTPResponse(one)
            response.begin()
            assert response.status in (202, 207)
            response.read()  # the place is free once all of it is sent
        assert opened(intake, stack, path).recv(100).startswith(b"HTTP/1.1 100 "), "a body that ended leaves its place"


def test_bodies_that_are_slow_to_come_keep_nobody_from_validating(servers: Services) -> None:
    path = "/care-cases-batch?validateOnly=true"
    with an_intake(servers.redis_url, "slow:") as intake, ExitStack() as stack:
        slow = [opened(intake, stack, path) for _ in range(8)]
        assert [one.recv(100)[:12] for one in slow] == [b"HTTP/1.1 100"] * 8
        with intake.client("bob") as other:
            assert other.put(path, content=b"[1]").status_code == 207


def metrics(intake: Intake) -> str:
    with intake.client() as client:
        return client.get("/metrics").text


def open_bytes(intake: Intake, name: str) -> float:
    """The memory of a client's bodies, as the metrics show it."""
    beginning = f'carecase_open_bytes{{client="{name}"}} '
    return next(
        float(line.removeprefix(beginning)) for line in metrics(intake).splitlines() if line.startswith(beginning)
    )


def test_a_body_that_comes_to_need_too_much_memory_is_refused_on_its_way_and_the_others_go_on(
    servers: Services,
) -> None:
    """Each has come with a million bytes, and counts 448 KiB beside that."""
    bounds = {"max_open_bytes_per_client": 2_500_000, "max_open_bytes": 3_300_000}
    piece = b"f4240\r\n[1" + b" " * 999_998 + b"\r\n"
    with an_intake(servers.redis_url, "much:", intake=bounds) as intake, ExitStack() as stack:
        chunked = "transfer-encoding: chunked"
        mine, more = (opened(intake, stack, framed=chunked) for _ in range(2))
        others, one_more = (opened(intake, stack, name="bob", framed=chunked) for _ in range(2))
        for one in (mine, others, more, one_more):
            assert one.recv(100).startswith(b"HTTP/1.1 100 ")
        mine.sendall(piece)
        eventually(lambda: open_bytes(intake, "ann") > 1_450_000, what="it has come")
        more.sendall(piece)
        assert more.recv(100).startswith(b"HTTP/1.1 429 ")
        others.sendall(piece)
        eventually(lambda: open_bytes(intake, "bob") > 1_450_000, what="it has come")
        with intake.client("bob") as client:
            assert client.put("/care-cases-batch", content=b"[1]").status_code == 202
        one_more.sendall(b"80000\r\n[1" + b" " * 524_286 + b"\r\n")  # within bob's share
        assert one_more.recv(100).startswith(b"HTTP/1.1 503 ")
        for one in (mine, others):
            one.sendall(b"1\r\n]\r\n0\r\n\r\n")
            assert one.recv(100).startswith(b"HTTP/1.1 202 ")
        eventually(lambda: open_bytes(intake, "ann") == open_bytes(intake, "bob") == 0, what="all have ended")
        measured = metrics(intake)
        for whose in ("client", "all"):
            assert f'carecase_bodies_refused_total{{bound="bytes",whose="{whose}"}} 1.0' in measured
        for name in ("ann", "bob"):
            assert f'carecase_open_bodies{{client="{name}"}} 0.0' in measured
            assert f'carecase_processor_wait_seconds_total{{client="{name}"}} 0.0' in measured
