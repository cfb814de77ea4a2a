"""A list may have several header lines; a header that is no list comes once."""

import json

import pytest
from tests.acceptance.http.by_the_byte import JSON, asked, asked_once, head
from tests.acceptance.system import System, eventually
from tests.builders import a_batch, a_case


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Accept: image/png", "Accept: text/json"], "text/json"),
        (["Accept: text/json;q=0.5", "Accept: text/plain"], "text/plain"),
        (["Accept: ", "Accept: text/plain"], "text/plain"),
        (["Accept: ", "Accept: ,"], "application/json"),
        (["Accept: ,, text/json ,"], "text/json"),
    ],
)
def test_accept_is_one_list_however_many_lines_it_has(system: System, lines: list[str], expected: str) -> None:
    status, headers, _ = asked_once(system, *lines)
    assert (status, headers["content-type"].partition(";")[0]) == (200, expected)


def test_other_lists_are_one_however_many_lines_they_have(system: System, first_key: int, final_job: str) -> None:
    result = f"GET /jobs/{final_job}/result?page=1 HTTP/1.1"
    lines = ("Accept-Encoding: br", "Accept-Encoding: gzip")
    _, headers, _ = asked(system, head(system, result, *lines, "Connection: close"))
    assert headers["content-encoding"] == "gzip"

    job = f"GET /jobs/{final_job} HTTP/1.1"
    _, headers, _ = asked_once(system, line=job)
    status, _, _ = asked_once(system, 'If-None-Match: "other"', f"If-None-Match: {headers['etag']}", line=job)
    assert status == 304

    sent = a_batch(a_case(first_key))
    put = "PUT /care-cases-batch HTTP/1.1"
    length = (JSON, f"Content-Length: {len(sent)}", "Connection: close")
    preferring = head(system, put, *length, "Prefer: handling=strict", "Prefer: wait=20")
    status, headers, _ = asked(system, preferring + sent)
    assert (status, headers["preference-applied"]) == (207, "wait=20, handling=strict")
    encoded = head(system, put, *length, "Content-Encoding: identity", "Content-Encoding: gzip")
    status, _, body = asked(system, encoded + sent)
    assert (status, "not valid gzip" in json.loads(body)["error"]["detail"]) == (400, True)
    twice = head(system, put, *length, "Content-Encoding: gzip", "Content-Encoding: zstd")
    status, headers, _ = asked(system, twice + sent)
    assert (status, headers["accept-encoding"]) == (415, "zstd, gzip")
    many = head(system, job, "Connection: x-other", "Connection: close")
    assert asked(system, many)[0] == 200


@pytest.mark.parametrize(
    "line",
    [
        "x-api-key: {x-api-key}",
        "Authorization: {authorization}",
        "vbasoftware-database: demo",
        "VBASOFTWARE-DATABASE: demo_sqlite",
        "Host: service.example:8080",
        "User-Agent: one\r\nUser-Agent: two",
        "Idempotency-Key: a\r\nIdempotency-Key: b",
        "Content-Type: application/json\r\nContent-Type: application/x-ndjson",
        "Origin: https://one.example\r\nOrigin: https://two.example",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http",
        "X-Forwarded-Prefix: /one\r\nX-Forwarded-Prefix: /two",
    ],
)
def test_a_header_that_is_no_list_comes_once(system: System, line: str) -> None:
    with system.client() as client:
        for name in ("x-api-key", "authorization"):
            line = line.replace(f"{{{name}}}", client.headers[name])
    status, headers, document = asked_once(system, line)
    assert (status, headers["content-type"]) == (400, "application/json")
    name = line.partition(":")[0].lower()
    assert document["error"]["detail"] == f"The header {name} comes more than once. Send it once."
    assert document["debug"]["activityID"] in eventually(
        lambda: document["debug"]["activityID"] in system.logs() and system.logs()
    )


@pytest.mark.parametrize(
    "line", ["Content-Length: 0\r\nContent-Length: 0", "Content-Length: 2\r\nTransfer-Encoding: chunked"]
)
def test_two_lengths_are_refused(system: System, line: str) -> None:
    status, _, _ = asked(system, head(system, "PUT /care-cases-batch HTTP/1.1", line))
    assert status == 400


def test_a_request_names_one_host(system: System) -> None:
    status, _, document = asked_once(system, without="host")
    assert (status, document["error"]["detail"][:26]) == (400, "The header Host is missing")
    for bad in ("", "a b", "user@host", "host/path", "[::1", "host:port"):
        status, _, document = asked_once(system, f"Host: {bad}", without="host")
        assert (status, "Host is not a host" in document["error"]["detail"]) == (400, True), bad
    for good in ("service", "service.example:", "10.0.0.1:80", "[::1]:8080", "under_score"):
        assert asked_once(system, f"Host: {good}", without="host")[0] == 200, good
    old = head(system, "GET /jobs HTTP/1.0", without="host")
    assert asked(system, old)[0] == 200
