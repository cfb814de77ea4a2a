"""A client gets its burst and its rate, and takes nothing from the others."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from tests.acceptance.system import System, eventually, run
from tests.builders import a_case
from tests.plain_http import http_get


def test_a_client_gets_its_burst_and_then_429_until_it_has_waited(guarded: System) -> None:
    with guarded.client() as client, guarded.client("other") as other:
        eventually(lambda: client.get("/jobs/x").status_code == 404)
        time.sleep(2.2)  # until the bucket is full: only asking would show that, and empties it
        responses: list[httpx.Response] = []
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            while len(responses) < 5000 and not any(response.status_code == 429 for response in responses):
                responses += pool.map(lambda _: client.get("/jobs/x"), range(100))
        seconds = time.monotonic() - began
        passed = [response for response in responses if response.status_code == 404]
        refused = [response for response in responses if response.status_code == 429]
        assert len(passed) + len(refused) == len(responses)
        assert 50 <= len(passed) <= 50 + 25 * seconds + 1
        assert refused, "so many requests were slower than the rate"
        assert {int(response.headers["retry-after"]) for response in refused} == {1}
        document = refused[0].json()
        assert document["error"]["status"] == 429
        assert "Retry-After" in document["error"]["detail"]
        assert other.get("/jobs/x").status_code == 404
        time.sleep(1)  # as Retry-After said
        assert client.get("/jobs/x").status_code == 404
    assert http_get(f"{guarded.stack['intake']['url']}/livez").status_code == 200


def test_the_command_line_lives_with_the_rate(guarded: System) -> None:
    (guarded.place / "batch.json").write_text(json.dumps([a_case(key) for key in range(5000)]))
    sent = run("submit", "batch.json", "--watch", cwd=guarded.place)
    assert sent.returncode == 0, sent.stderr
