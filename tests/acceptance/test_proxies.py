"""Behind a proxy: the path prefix that clients see, and whom `X-Forwarded-*` is believed."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.acceptance.lone_intake import KEY, OTHER, PROXY, TOKEN, Intake, an_intake, answers
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.needs import need
from tests.ports import free_port
from tests.services import Services

from carecase_worker.client.api import connect


@pytest.fixture(scope="module")
def intake(servers: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """An intake under /tools/carecase."""
    with an_intake(tmp_path_factory.mktemp("prefixed"), servers, "/tools/carecase") as started:
        yield started


def require_prefix(client: httpx.Client, base: str, prefix: str) -> None:
    """Fail unless everything that is found below `base` names paths under `prefix`."""
    accepted = client.put(f"{base}/care-cases-batch", json=[a_case(1)])
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()["job"]
    here = f"{prefix}/jobs/{job['jobId']}"
    assert accepted.headers["location"] == here
    links = {"self": here, "result": f"{here}/result"}
    assert job["links"] == links
    assert client.get(f"{base}/jobs/{job['jobId']}").json()["data"]["links"] == links
    result = client.get(f"{base}/jobs/{job['jobId']}/result")
    assert (result.status_code, result.headers["location"]) == (202, here)
    assert client.get(f"{base}/jobs").json()["data"][0]["links"] == links
    retry = client.post(f"{base}/jobs/{job['jobId']}/retry")
    assert (retry.status_code, retry.json()["error"]["instance"]) == (409, f"{here}/retry")
    cancelled = client.delete(f"{base}/jobs/{job['jobId']}")
    assert (cancelled.status_code, cancelled.headers["location"]) == (202, here)
    assert client.get(f"{base}/nowhere").json()["error"]["instance"] == f"{prefix}/nowhere"
    wrong = client.patch(f"{base}/jobs")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert client.options(f"{base}/jobs").headers["allow"] == "GET, HEAD, OPTIONS"

    described = client.get(f"{base}/openapi.json").json()
    assert described["servers"][0] == {"url": prefix}
    assert {"url": "/"} not in described["servers"]
    page = client.get(f"{base}/docs").text
    assert f"url: '{prefix}/openapi.json'" in page
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    for source in sources:
        assert source.startswith(f"{prefix}/")
        assert client.get(base + source.removeprefix(prefix)).status_code == 200


@pytest.mark.parametrize("address", [PROXY, OTHER])
@pytest.mark.parametrize("base", ["", "/tools/carecase"])
def test_a_prefix_is_in_every_path_whether_the_proxy_took_it_off_or_not(
    intake: Intake, base: str, address: str
) -> None:
    with intake.client(address) as client:
        require_prefix(client, base, "/tools/carecase")


def test_probes_need_no_prefix(intake: Intake) -> None:
    with intake.client(OTHER) as client:
        for path in ("/livez", "/tools/carecase/livez", "/metrics", "/tools/carecase/metrics"):
            assert client.get(path).status_code == 200
        for path in ("/tools", "/tools/carecase", "/tools/carecasejobs", "/carecase/jobs", "/tools/carecase//jobs"):
            assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("prefix", ["/other", "/other/", "other"])
@pytest.mark.parametrize("base", ["", "/other"])
def test_a_named_proxy_may_set_the_prefix(intake: Intake, base: str, prefix: str) -> None:
    with intake.client(PROXY, **{"X-Forwarded-Prefix": prefix}) as client:
        require_prefix(client, base, "/other")


@pytest.mark.parametrize("prefix", ["", "//", "https://evil.example", "/a b", "/a/../b", "/a\\b", '/"', "/\u00e9"])
def test_a_prefix_that_can_be_none_is_not_taken(intake: Intake, prefix: str) -> None:
    with intake.client(PROXY) as client:
        response = client.get("/jobs/x", headers=[(b"X-Forwarded-Prefix", prefix.encode("latin-1"))])
    assert response.json()["error"]["instance"] == "/tools/carecase/jobs/x"


def test_only_named_proxies_are_believed(intake: Intake) -> None:
    forwarded = {
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-For": "203.0.113.7, 10.8.1.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
    }
    for address, instance, client_address in (
        (PROXY, "/evil/jobs/x", "203.0.113.7"),
        (OTHER, "/tools/carecase/jobs/x", OTHER),
    ):
        with intake.client(address, **forwarded) as client:
            error = client.get("/jobs/x").json()
        assert error["error"]["instance"] == instance
        assert intake.log_record(activity_id=error["debug"]["activityID"])["address"] == client_address


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6", "198.51.100.1", "10.8.0.1"], "198.51.100.1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["10.8.0.1, 10.8.0.2"], "10.8.0.1"),
        ([""], PROXY),
        (["a case value"], PROXY),
    ],
)
def test_the_client_is_the_last_one_that_no_named_proxy_is(intake: Intake, lines: list[str], address: str) -> None:
    with intake.client(PROXY) as client:
        response = client.get("/jobs/x", headers=[("X-Forwarded-For", line) for line in lines])
    entry = intake.log_record(activity_id=response.json()["debug"]["activityID"])
    assert entry.get("address") == address


def test_the_client_library_works_under_a_prefix(intake: Intake) -> None:
    url = f"http://127.0.0.1:{intake.port}/tools/carecase"
    with connect(url, api_key=KEY, token=TOKEN, database="demo") as client:
        job = client.submit([a_case(2)])
        assert client.job(job.job_id).links["self"] == f"/tools/carecase/jobs/{job.job_id}"


def test_without_a_prefix_nothing_changes(servers: Services, tmp_path: Path) -> None:
    with an_intake(tmp_path, servers, "") as intake, intake.client() as client:
        accepted = client.put("/care-cases-batch", json=[a_case(1)])
        assert accepted.headers["location"] == f"/jobs/{accepted.json()['job']['jobId']}"
        assert "/tools" not in json.dumps(client.get("/openapi.json").json().get("servers", []))
        assert client.get("/tools/carecase/jobs").status_code == 404


@pytest.mark.parametrize("root_path", ["/jobs", "/docs/x", "/care-plans"])
def test_a_prefix_that_could_be_taken_for_a_path_is_refused(servers: Services, tmp_path: Path, root_path: str) -> None:
    with pytest.raises(AssertionError, match=r"intake\.root_path: must not begin with /"):  # noqa: SIM117
        with an_intake(tmp_path, servers, root_path):
            pass


HAPROXY = """
global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 70s
  timeout server 70s
frontend clients
  bind 127.0.0.1:FRONT
  option forwardfor
  default_backend carecase
backend carecase
  CHANGE
  server intake 127.0.0.1:BACK
"""


@pytest.mark.parametrize(
    "change",
    [
        "http-request set-path %[path,regsub(^/tools/carecase/,/)]",
        "http-request set-header X-Forwarded-Proto https",
        "http-request replace-path /edge/(.*) /\\1\n  http-request set-header X-Forwarded-Prefix /edge",
    ],
    ids=["takes the prefix off", "leaves it on", "tells it"],
)
def test_a_real_proxy(intake: Intake, tmp_path: Path, change: str) -> None:
    program = need("haproxy", "Debian's haproxy")
    front = free_port()
    config = HAPROXY.replace("FRONT", str(front)).replace("BACK", str(intake.port)).replace("CHANGE", change)
    (tmp_path / "haproxy.cfg").write_text(config)
    process = subprocess.Popen([program, "-db", "-f", str(tmp_path / "haproxy.cfg")], env=dict(os.environ))
    try:
        prefix = "/edge" if "/edge" in change else "/tools/carecase"
        eventually(lambda: answers(f"http://127.0.0.1:{front}{prefix}/livez"))
        with intake.client(OTHER) as client:
            client.base_url = httpx.URL(f"http://127.0.0.1:{front}")
            require_prefix(client, prefix, prefix)
            error = client.get(f"{prefix}/jobs/x").json()
        assert intake.log_record(activity_id=error["debug"]["activityID"])["address"] == OTHER
    finally:
        process.terminate()
        process.wait(60)
