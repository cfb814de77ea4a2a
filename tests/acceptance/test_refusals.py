"""What a whole request is refused for: a clear problem, and nothing enqueued."""

import json
import signal
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import zstandard
from tests.acceptance.system import System, eventually
from tests.builders import a_batch, a_case

GOOD = a_batch(a_case(1))
PROBLEM = {"type", "title", "status", "detail", "instance"}


def job_count(system: System) -> int:
    """The number of the client's jobs, in all databases."""
    with system.client(database=None) as client:
        return int(json.loads(client.get("/jobs?pageSize=1").headers["x-pagination"])["TotalCount"])


def put(system: System, body: Any = GOOD, path: str = "/care-cases-batch", **headers: str | None) -> httpx.Response:
    """A good request, but for what is said."""
    with system.client(database=None) as client:
        given: dict[str, str | None] = {"content-type": "application/json", "vbasoftware-database": "demo"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in given.items():
            if value is None:
                client.headers.pop(name, None)
            else:
                client.headers[name] = value
        return client.put(path, content=body)


@pytest.mark.parametrize(
    ("status", "word", "request_"),
    [
        (400, "JSON", {"body": b"case_Key=1"}),
        (400, "empty", {"body": b""}),
        (400, "JSON", {"body": GOOD[:-1]}),
        (400, "JSON", {"body": GOOD + GOOD}),
        (400, "JSON", {"body": GOOD.replace(b"5", b"NaN")}),
        (400, "UTF-8", {"body": b'[{"case_ID":"\xff"}]'}),
        (400, "array", {"body": b"{}"}),
        (400, "array", {"body": b'"cases"'}),
        (400, "empty", {"body": b"[]"}),
        (400, "line 2", {"body": b"{}\n{", "content_type": "application/x-ndjson"}),
        (400, "vbasoftware-database", {"vbasoftware_database": None}),
        (403, "vbasoftware-database", {"vbasoftware_database": "nowhere"}),
        (400, "carePlanKey", {"path": "/care-plans/five/cases-batch"}),
        (400, "carePlanKey", {"path": "/care-plans/2147483648/cases-batch"}),
        (400, "carePlanKey", {"path": "/care-plans/1_000/cases-batch"}),
        (401, "API key", {"x_api_key": "wrong"}),
        (401, "x-api-key", {"x_api_key": None}),
        (401, "token", {"authorization": "Bearer wrong"}),
        (401, "Authorization", {"authorization": None}),
        (415, "Content-Type", {"content_type": "text/html"}),
        (400, "JSON", {"content_type": "text/csv"}),
        (415, "Content-Type", {"content_type": None}),
        (415, "Content-Encoding", {"content_encoding": "br"}),
        (400, "gzip", {"content_encoding": "gzip"}),
        (400, "zstd", {"content_encoding": "zstd"}),
        (400, "zstd", {"body": zstandard.compress(GOOD)[:-4], "content_encoding": "zstd"}),
        (404, "nothing", {"path": "/care-cases"}),
        (404, "nothing", {"path": "/care-cases-batch/"}),
    ],
)
def test_a_refusal_says_why_and_enqueues_nothing(
    system: System, status: int, word: str, request_: dict[str, Any]
) -> None:
    before = job_count(system)
    response = put(system, **request_)
    assert response.status_code == status, response.text
    document = response.json()
    assert document["data"] is None
    assert set(document["error"]) == PROBLEM
    assert document["error"]["status"] == status
    assert word in document["error"]["detail"]
    assert document["debug"]["activityID"] in eventually(
        lambda: document["debug"]["activityID"] in system.logs() and system.logs()
    )
    assert job_count(system) == before
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_a_wrong_method_is_refused(system: System) -> None:
    with system.client() as client:
        response = client.post("/care-cases-batch", json=[a_case(1)])
    assert response.status_code == 405
    assert set(response.json()["error"]) == PROBLEM


def test_a_client_with_the_key_of_one_and_the_token_of_another_is_nobody(system: System) -> None:
    other = system.client("other").headers["authorization"]
    assert put(system, authorization=other).status_code == 401


def test_a_database_of_somebody_else_looks_like_one_that_is_not_there(system: System) -> None:
    with system.client("other", database="demo_sqlite") as client:
        responses = [
            client.put("/care-cases-batch", json=[a_case(1)], headers={"vbasoftware-database": name})
            for name in ("demo_sqlite", "nowhere")
        ]
    assert [response.status_code for response in responses] == [403, 403]
    assert responses[0].json()["error"] == responses[1].json()["error"]


def test_a_request_that_breaks_off_is_no_failure_of_ours(system: System) -> None:
    address = urlsplit(system.stack["intake"]["url"])
    headers = "\r\n".join(f"{name}: {value}" for name, value in system.client().headers.items() if name != "host")
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"PUT /care-cases-batch HTTP/1.1\r\nHost: x\r\n{headers}\r\nContent-Type: text/json\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n[{{".encode())
        time.sleep(0.2)  # the intake reads the beginning meanwhile, and says so nowhere
    assert put(system).status_code == 202
    assert system.answered_with("500") == 0


def test_a_bomb_is_refused(system: System) -> None:
    bomb = zstandard.compress(b" " * (1 << 30) + GOOD)
    response = put(system, body=bomb, content_encoding="zstd")
    assert response.status_code == 413


def test_while_redis_is_away_batches_are_refused_for_now(system: System) -> None:
    redis = system.pid("redis")
    system.kill(redis, signal.SIGSTOP)
    try:
        response = put(system)
    finally:
        system.kill(redis, signal.SIGCONT)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert "same Idempotency-Key" in response.json()["error"]["detail"]
    eventually(lambda: put(system).status_code == 202)
