"""What keeps one client from taking the service away from the others: the rate, and the limits of a connection.

To the moment, the limits of a connection are held by integration/intake/test_guard.py; here they are in real time.
"""

import base64
import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from tests.acceptance.system import System, eventually, intake_beside, run
from tests.builders import a_case, a_jwks, a_key_pair
from tests.plain_http import http_get

CONFIG = """[intake]
header_timeout_seconds = 2
idle_timeout_seconds = 2
stall_timeout_seconds = 2
max_header_bytes = 8192
cors_origins = ["https://desk.example"]
[jwt]
algorithms = ["HS256", "RS256"]
jwks_file = "issuer.json"
jwks_refetch_seconds = 0.5
audience = "carecase"
issuer = "https://issuer.example"
"""
FOR_US = {"aud": "carecase", "iss": "https://issuer.example"}
OLD, NEW = a_key_pair("RS256"), a_key_pair("RS256")
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
SOON_S = 9
"""Within the defaults of the settings above, and long enough for a busy machine."""


@pytest.fixture(scope="module")
def guarded(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An intake with the rate of the contract and short patience."""
    place = tmp_path_factory.mktemp("guarded")
    (place / "issuer.json").write_bytes(a_jwks(old=OLD))
    with intake_beside(system, place, CONFIG) as started:
        yield started


@pytest.fixture
def connection(guarded: System) -> Iterator[socket.socket]:
    address = urlsplit(guarded.stack["intake"]["url"])
    with socket.create_connection((address.hostname, address.port), timeout=60) as opened:
        yield opened


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the service closes the connection; fails if it does not within the socket's timeout."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def problem_in(answer: bytes) -> int:
    head, _, body = answer.partition(b"\r\n\r\n")
    document = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {document['error']['status']} ".encode())
    assert document["data"] is None
    return int(document["error"]["status"])


def test_a_client_gets_its_burst_and_then_429_until_it_has_waited(guarded: System) -> None:
    with guarded.client() as client, guarded.client("other") as other:
        eventually(lambda: client.get("/jobs/x").status_code == 404)
        time.sleep(2.2)  # until the bucket is full
        answers: list[httpx.Response] = []
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            while len(answers) < 5000 and not any(answer.status_code == 429 for answer in answers):
                answers += pool.map(lambda _: client.get("/jobs/x"), range(100))
        seconds = time.monotonic() - began
        passed = [answer for answer in answers if answer.status_code == 404]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(passed) + len(refused) == len(answers)
        assert 50 <= len(passed) <= 50 + 25 * seconds + 1
        assert refused, "so many requests were slower than the rate"
        assert {int(answer.headers["retry-after"]) for answer in refused} == {1}
        document = refused[0].json()
        assert document["error"]["status"] == 429
        assert "Retry-After" in document["error"]["detail"]
        assert other.get("/jobs/x").status_code == 404
        time.sleep(1)
        assert client.get("/jobs/x").status_code == 404
    assert http_get(f"{guarded.stack['intake']['url']}/livez").status_code == 200


def test_the_command_line_lives_with_the_rate(guarded: System) -> None:

    (guarded.place / "batch.json").write_text(json.dumps([a_case(key) for key in range(5000)]))
    sent = run("submit", "batch.json", "--watch", cwd=guarded.place)
    assert sent.returncode == 0, sent.stderr


def test_an_issuers_new_key_is_taken_and_its_old_one_is_not(guarded: System) -> None:
    def status(key_id: str, key: Any) -> int:
        claims = {"sub": "j.doe", "client_id": "other", "exp": int(time.time()) + 60, **FOR_US}
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": key_id})
        with guarded.client("other", Authorization=f"Bearer {token}") as client:
            return client.get("/jobs/x").status_code

    assert status("old", OLD) == 404
    assert status("old", NEW) == 401
    assert status("new", NEW) == 401
    (guarded.place / "issuer.json").write_bytes(a_jwks(new=NEW))
    time.sleep(0.6)
    assert status("new", NEW) == 404
    assert status("old", OLD) == 401


def test_many_slow_clients_keep_nobody_else_waiting(guarded: System) -> None:
    url = urlsplit(guarded.stack["intake"]["url"])
    slow = [socket.create_connection((url.hostname, url.port), timeout=60) for _ in range(500)]
    try:
        for number, one in enumerate(slow):
            with suppress(OSError):  # its time is over already
                one.sendall(HEAD[: number % len(HEAD)])
        assert http_get(f"{url.geturl()}/livez", timeout=SOON_S).status_code == 200
        for one in slow:
            with suppress(ConnectionError):
                rest_of(one)
    finally:
        for one in slow:
            one.close()


def test_a_head_that_does_not_come_is_not_awaited(guarded: System) -> None:
    address = urlsplit(guarded.stack["intake"]["url"])
    parts = (b"", b"GET", HEAD + b"X-Slow: y", b"\r\n\r\n")
    with ExitStack() as opened:
        began = time.monotonic()
        waiting = []
        for part in parts:
            one = socket.create_connection((address.hostname, address.port), timeout=60)
            waiting.append(opened.enter_context(one))
            one.sendall(part)
        answers = [rest_of(one) for one in waiting]
    assert time.monotonic() - began < SOON_S
    assert answers[0] == b""
    assert [problem_in(answer) for answer in answers[1:]] == [408] * 3


def test_a_head_that_is_too_long_is_refused(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"X-Long: " + b"y" * 20_000)
    assert problem_in(rest_of(connection)) == 431


def test_what_is_no_http_is_refused(connection: socket.socket) -> None:
    connection.sendall(b"what is this\r\n\r\n")
    assert problem_in(rest_of(connection)) == 400


def test_an_idle_connection_is_closed_and_so_is_one_that_only_pretends(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    began = time.monotonic()
    assert rest_of(connection).endswith(b'{"status":"ok"}')
    assert time.monotonic() - began < SOON_S


def answered(system: System, job_id: str) -> bool:
    """Tell if a request for the result of a job has ended."""
    return any(job_id in line and "/result" in line for line in system.logs().splitlines())


def test_an_answer_that_is_not_read_does_not_hold_a_connection(guarded: System) -> None:
    job_id = guarded.send([a_case(key) for key in range(100_000)])
    guarded.final(job_id)
    address = urlsplit(guarded.stack["intake"]["url"])
    with guarded.client() as client:
        names = ("x-api-key", "authorization")
        credentials = "".join(f"{name}: {client.headers[name]}\r\n" for name in names).encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(15)
        slow.connect((address.hostname, address.port))
        slow.sendall(f"GET /jobs/{job_id}/result HTTP/1.1\r\nHost: x\r\n".encode() + credentials + b"\r\n")
        eventually(lambda: answered(guarded, job_id), what="the service has given it up")
        try:
            received = len(rest_of(slow))
        except ConnectionResetError:
            received = 0
    with guarded.client() as client:
        assert received < len(client.get(f"/jobs/{job_id}/result").content)


def test_a_page_runs_only_what_came_with_it(guarded: System) -> None:
    url = guarded.stack["intake"]["url"]
    page = http_get(f"{url}/docs")
    policy = page.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert source.startswith("/"), "everything comes from here"
        assert http_get(url + source).headers["x-content-type-options"] == "nosniff"


def test_no_answer_about_cases_is_kept_on_the_way(guarded: System) -> None:
    with guarded.client() as client:
        for path in ("/jobs/x", "/jobs/x/result", "/nowhere", "/livez"):
            headers = client.get(path).headers
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_only_the_named_pages_may_call(guarded: System, system: System) -> None:
    def preflight(of: System, origin: str) -> httpx.Response:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "x-api-key,authorization,vbasoftware-database,content-type",
        }
        return httpx.options(f"{of.stack['intake']['url']}/care-cases-batch", headers=headers)

    allowed = preflight(guarded, "https://desk.example")
    assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert "access-control-allow-origin" not in preflight(guarded, "https://elsewhere.example").headers
    assert "access-control-allow-origin" not in preflight(system, "https://desk.example").headers
