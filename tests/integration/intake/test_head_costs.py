"""Heads cost a few nanoseconds a byte, whatever is in them, and most of all before anybody is known.

Each is as large as a head may be. Counted is the processor time of the whole process, the client's part too, above that
of a small head; that lines are noted for `make coverage` is no part of it. The bounds are a tenth of what reading each
sign again for each other would take.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from urllib.parse import urlsplit

import pytest
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services
from tests.steps import untraced

HEAD_BYTES, SIZE, TARGET = 32 << 10, 31_000, 7_900
TIMES, MS_A_HEAD = 5, 10.0
JOB = "/jobs/019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    bounds = {"trusted_proxies": ["127.0.0.0/8"], "cors_origins": ["https://ours.example"]}
    with untraced(), an_intake(servers.redis_url, "heads:", intake=bounds) as started:
        yield started


def filled(text: str, size: int = SIZE) -> str:
    return text * (size // len(text))


LISTS = (
    "," * SIZE,
    filled("a,"),
    filled('"x", '),
    filled('W/"x",'),
    filled("a;q=0.1,"),
    '"' + filled('\\"'),
    filled("( "),
)
VALUES: dict[str, tuple[str, ...]] = {
    "Accept": LISTS,
    "Accept-Encoding": LISTS,
    "Prefer": (*LISTS, "a=" + " " * (SIZE - 3) + "(", filled("wait=1,"), 'a="' + filled("\\\\")),
    "If-None-Match": LISTS,
    "Cookie": ('a="' + filled("\\") + '"', 'a="' + filled('\\"') + '"', filled("a;"), filled("a=b;"), filled("=")),
    "X-Forwarded-For": (filled("127.0.0.1,"), filled("1,"), filled("::1,"), filled("[::1]:80,"), filled("[") + "1"),
    "X-Forwarded-Prefix": (filled("/a"), filled("/"), filled("%2f")),
    "X-Forwarded-Proto": (filled("http,"),),
    "Forwarded": (filled("for=1.2.3.4,"),),
    "Authorization": (
        "Bearer " + filled("a"),
        "Bearer " + filled("."),
        filled("Bearer "),
        "Bearer" + filled(" ") + "a",
    ),
    "x-api-key": (filled("a"), filled("\u00e9", SIZE // 2)),
    "vbasoftware-database": (filled("a"),),
    "Idempotency-Key": (filled("a"), filled('"')),
    "Content-Type": (
        filled(";"),
        "application/json" + filled(";a=b"),
        "application/" + filled("a+") + "json",
        filled("/"),
    ),
    "Content-Encoding": (filled("gzip,"), filled(",")),
    "Range": ("bytes=" + filled("0-,"), "bytes=" + filled("0-0,")),
    "Origin": (filled("a"), "https://" + filled("a.")),
    "Access-Control-Request-Headers": (filled("prefer,"), filled(",")),
    "User-Agent": (filled("("),),
    "Connection": (filled("close,"), filled(",")),
    "Expect": (filled("100-continue,"),),
    "TE": (filled("trailers,"),),
}
CASES = [(name, place) for name, values in VALUES.items() for place in range(len(values))]
TARGETS = {
    "parameters": "/jobs?" + filled("a&", TARGET),
    "equal parameters": "/jobs?" + filled("page=1&", TARGET),
    "other parameters": "/jobs?" + "&".join(f"{number:x}" for number in range(1600)),
    "other values": "/jobs?" + "&".join(f"page={number}" for number in range(600)),
    "as many parameters as may be": "/jobs?" + "&".join("a" * 70 + str(number) for number in range(100)),
    "percent signs": "/jobs?" + filled("%", TARGET),
    "encoded parameters": "/jobs?" + filled("%41=%41&", TARGET),
    "a long id": "/jobs/" + filled("a", TARGET),
    "a long id of a result": "/jobs/" + filled("a", TARGET) + "/result",
    "a long number": "/care-plans/" + filled("1", TARGET) + "/cases-batch",
    "many parts": filled("/a", TARGET),
    "an encoded path": filled("/%2f", TARGET),
    "a deep file": "/static-offline-docs/" + filled("../", TARGET),
    "another host": "http://x/" + filled("a", TARGET),
}


@contextmanager
def connected(intake: Intake) -> Iterator[socket.socket]:
    address = urlsplit(intake.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as opened:
        yield opened


def cost_ms(intake: Intake, head: bytes) -> float:
    """The processor time that it takes to answer a head, on a connection of its own: the least of some, since the
    collector of cycles may look through all of the tests' process meanwhile."""
    costs = []
    for _ in range(TIMES):
        began = time.process_time()
        with connected(intake) as connection:
            connection.sendall(head)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 "), "it is answered"
        costs.append(time.process_time() - began)
    return min(costs) * 1000


def head_of(intake: Intake, method: str, target: str, is_known: bool, name: str = "", value: str = "") -> bytes:
    with intake.client() as client:
        own = {"host": "x", "connection": "close", "origin": "https://ours.example"}
        own |= {"access-control-request-method": "PUT"} if method == "OPTIONS" else {}
        own |= {each: client.headers[each] for each in ("x-api-key", "authorization")} if is_known else {}
    own = {each: text for each, text in own.items() if each != name.lower()} | ({name: value} if name else {})
    lines = "".join(f"{each}: {text}\r\n" for each, text in own.items())
    head = f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()
    assert len(head) <= HEAD_BYTES
    return head


@pytest.fixture(scope="module")
def usual_ms(intake: Intake) -> dict[tuple[str, bool], float]:
    """The same of a small head, by method and whether its caller is known."""
    kinds = product(("GET", "OPTIONS", "PATCH"), (False, True))
    return {kind: cost_ms(intake, head_of(intake, kind[0], "/jobs", kind[1])) for kind in kinds}


UNKNOWN, KNOWN, PREFLIGHT, REFUSED = ("GET", False), ("GET", True), ("OPTIONS", False), ("PATCH", False)
Usual = dict[tuple[str, bool], float]


@pytest.mark.parametrize(("name", "place"), CASES)
@pytest.mark.parametrize("kind", [UNKNOWN, KNOWN, PREFLIGHT])
def test_no_header_costs_more_than_its_bytes(
    intake: Intake, usual_ms: Usual, name: str, place: int, kind: tuple[str, bool]
) -> None:
    target = "/jobs" if kind is PREFLIGHT else JOB
    head = head_of(intake, kind[0], target, kind[1], name, VALUES[name][place])
    assert cost_ms(intake, head) - usual_ms[kind] < MS_A_HEAD


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", [UNKNOWN, KNOWN, REFUSED, PREFLIGHT])
def test_no_target_costs_more_than_its_bytes(
    intake: Intake, usual_ms: Usual, target: str, kind: tuple[str, bool]
) -> None:
    head = head_of(intake, kind[0], TARGETS[target], kind[1])
    assert cost_ms(intake, head) - usual_ms[kind] < MS_A_HEAD


@pytest.mark.parametrize("number", [99, SIZE])
@pytest.mark.parametrize("line", ["a:b\r\n", "accept: a\r\n", "x-forwarded-for: 127.0.0.1\r\n", "host: x\r\n", ":\r\n"])
def test_many_headers_cost_no_more_than_their_bytes(intake: Intake, usual_ms: Usual, line: str, number: int) -> None:
    lines = line * min(number, SIZE // len(line))
    head = f"GET /jobs HTTP/1.1\r\nhost: x\r\n{lines}\r\n".encode()
    assert cost_ms(intake, head) - usual_ms[UNKNOWN] < MS_A_HEAD


def test_what_comes_behind_unanswered_requests_is_not_kept_for_long(intake: Intake) -> None:
    began = time.process_time()
    with connected(intake) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost:x\r\n\r\n" * 8000)
        received = 0
        with suppress(ConnectionError):
            while piece := connection.recv(1 << 16):
                received += piece.count(b"HTTP/1.1 200")
    assert received < 8000
    assert time.process_time() - began < 1.0
