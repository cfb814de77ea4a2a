"""A value of a case is in the target database and nowhere else; a case key is in the result, too.

Every field of a case has a mark of its own; marked items go through every kind of failure. Then everything that anybody
can read is searched: answers, logs, metrics, Flower, Redis and its files, the arguments of processes.
"""

import base64
import gzip
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import zstandard
from sqlalchemy import create_engine, text
from tests.acceptance.system import System, eventually, running
from tests.acceptance.test_outages import allow_connections
from tests.collector import Collector, a_traceparent, collecting
from tests.plain_http import http_client

from carecase_worker.cases.care_case import FIELDS, FieldType

MARK = "Ozymandias"
KEY = 1_618_033_000
OTHER_SCRIPTS = "ꙮ؍"
"""A mark of two characters."""

PAGE = Path(__file__).parent.parent.parent / "docs" / "privacy.md"
TRIGGER = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF NEW.case_priority = 1618034013 THEN RAISE EXCEPTION 'this is %', NEW; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON care_case FOR EACH ROW EXECUTE FUNCTION refuse()",
    "CREATE UNIQUE INDEX one_reason ON care_case (case_reason)",
)


def marked(number: int, **fields: Any) -> dict[str, Any]:
    """A valid case with a mark in every field. No two share a key or a reason, unless told to."""
    case: dict[str, Any] = {}
    for place, field in enumerate(FIELDS):
        match field.type:
            case FieldType.INT32:
                case[field.name] = 1_618_034_000 + place
            case FieldType.DOUBLE:
                case[field.name] = 1618.034
            case FieldType.BOOLEAN:
                case[field.name] = True
            case FieldType.DATE_TIME:
                case[field.name] = f"1618-03-{place + 1:02d}T04:05:06Z"
            case FieldType.STRING if field.max_length == 2:
                case[field.name] = OTHER_SCRIPTS
            case FieldType.STRING:
                case[field.name] = f"{MARK}-{place}"[: field.max_length]
    return {**case, "case_Key": KEY + number, "case_Reason": f"{MARK}-{number}", "case_Priority": 7, **fields}


def marks() -> list[str]:
    """Every way in which one of the marks can be written; keys apart."""
    ways = [MARK[:8], "1618-03", "1618.034", "16180340", "this is ("]
    ways += [OTHER_SCRIPTS, json.dumps(OTHER_SCRIPTS)[1:-1], json.dumps(OTHER_SCRIPTS)[1:-1].upper()]
    return [*ways, base64.b64encode(MARK.encode()).decode()[:8]]


def bad_items(number: int) -> list[Any]:
    """Items with a mark in every field, each bad in its way."""
    whole = marked(number)
    wrong: list[Any] = [{**whole, field.name: [whole[field.name]]} for field in FIELDS]
    wrong += [{**whole, field.name: f"{MARK}" * 60} for field in FIELDS if field.name != "case_Key"]
    wrong += [{MARK: MARK}, MARK, [MARK], {"case_Key": MARK}, {**whole, MARK: {MARK: MARK}, "case_ID": f"{MARK}\0"}]
    return wrong


def broken_bodies() -> list[tuple[bytes, dict[str, str]]]:
    """Bodies that are refused as a whole."""
    body = json.dumps([marked(0)]).encode()
    zipped = gzip.compress(body)
    line = {"content-type": "application/x-ndjson"}
    return [
        (body[:-1], {}),
        (body[1:-1], {}),
        (body + b"x", {}),
        (body.replace(b"true", MARK.encode()), {}),
        (body.replace(MARK.encode(), b"\xff" + MARK.encode()), {}),
        (body[1:-1] + b"\n" + body[:-20], line),
        (zipped[:-10], {"content-encoding": "gzip"}),
        (body, {"content-encoding": "gzip"}),
        (body, {"content-encoding": "zstd"}),
        (zstandard.compress(body)[:-3], {"content-encoding": "zstd"}),
        (body, {"content-type": "text/csv"}),
        (body, {"vbasoftware-database": "nowhere"}),
        (body, {"authorization": "Bearer wrong"}),
    ]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[System]:
    """A system that seals its chunks, is traced, and whose PostgreSQL refuses some cases.

    Its environment asks for FastAPI's own telemetry, too, which would tell what it refuses.
    """
    key = base64.b64encode(os.urandom(32)).decode()
    told = {
        "CARECASE_ENCRYPTION_KEYS": f"k1:{key}",
        "CARECASE_TRACING_ENDPOINT": collector.url,
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/framework",
    }
    place = tmp_path_factory.mktemp("sealed")
    with running(place, "--workers", "1", **told) as started:
        for statement in TRIGGER:
            started.execute(statement)
        yield started


def send(system: System, items: list[Any], path: str = "/care-cases-batch", database: str = "demo") -> str:
    return system.send(items, path, database)


def waiting_for_a_lock(system: System) -> set[int]:
    """The sessions of PostgreSQL that wait for somebody else's."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return {pid for (pid,) in system.query(waiting)}


def killed_while_applying(system: System, dead: set[int]) -> set[int]:
    """Kill the pool once it has a session that waits, other than those of the dead; which sessions that were."""
    sessions: set[int] = eventually(lambda: waiting_for_a_lock(system) - dead, what="it is being applied")
    for pid in system.pool():
        system.kill(pid)
    return sessions


def die_with(system: System, items: list[Any]) -> str:
    """Send a batch, and kill three times whoever applies it."""
    engine = create_engine(system.stack["databases"]["demo"]["url"])
    with engine.connect() as connection:
        connection.execute(text("LOCK TABLE care_case IN ACCESS EXCLUSIVE MODE"))
        job_id = send(system, items)
        dead: set[int] = set()
        for _ in range(3):
            dead |= killed_while_applying(system, dead)
    engine.dispose()
    system.final(job_id)
    return job_id


def all_of_redis(system: System) -> str:
    """Every key of Redis with its value, as far as it can be read."""
    client: Any = redis.Redis.from_url(system.stack["redis"]["url"])
    reads = {"string": client.get, "hash": client.hgetall, "set": client.smembers}
    seen = []
    for name in client.scan_iter(count=1000):
        kind = client.type(name).decode()
        match kind:
            case "list":
                value: Any = client.lrange(name, 0, -1)
            case "zset":
                value = client.zrange(name, 0, -1)
            case "none":  # it has gone since it was named
                continue
            case _:
                value = reads[kind](name)
        seen += [name, *_pieces(value)]
    return "\n".join(piece.decode("utf-8", "replace") for piece in seen)


def _pieces(value: Any) -> Iterator[bytes]:
    """The strings in a value of Redis; what is compressed, as it was before."""
    if isinstance(value, bytes):
        yield value
        at = value.find(b"\x28\xb5\x2f\xfd")  # a zstd frame
        if at >= 0:
            yield zstandard.ZstdDecompressor().decompress(value[at:], max_output_size=1 << 24)
    elif value is not None:
        for one in value.items() if isinstance(value, dict) else value:
            yield from _pieces(list(one) if isinstance(one, tuple) else one)


def all_of_flower(system: System, job_id: str) -> str:
    """Flower's pages and its API, once it has seen a job."""
    held = system.stack["flower"]
    with http_client(base_url=held["url"], auth=(held["user"], held["password"]), timeout=30) as pages:
        tasks = eventually(lambda: (seen := pages.get("/api/tasks")) and job_id in seen.text and seen.json())
        paths = ["/tasks", "/workers", "/broker", "/api/tasks", "/api/workers", "/metrics"]
        paths += [f"/task/{uuid}" for uuid in tasks]
        return "\n".join(pages.get(path).text for path in paths)


def arguments(system: System) -> str:
    """What everybody on the machine can see of the processes."""
    seen = []
    for process in (psutil.Process(system.process.pid), *psutil.Process(system.process.pid).children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # one that has ended, a zombie too, shows nothing
            seen.append(" ".join(process.cmdline()))
    return "\n".join(seen)


def files_of_redis(system: System) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in (system.data_dir / "valkey").rglob("*")
        if path.is_file()
    )


def test_a_marked_value_is_found_in_the_database_and_nowhere_else(sealed: System, collector: Collector) -> None:
    answers, jobs = [], []
    with sealed.client() as client:
        for content, headers in broken_bodies():
            given = {"content-type": "application/json", **headers}
            answer = client.put("/care-cases-batch", content=content, headers=given)
            assert answer.status_code in (400, 401, 403, 415), answer.text
            answers.append(answer.text)

        taken = marked(900, case_Reason=f"{MARK}-1")
        for database in ("demo", "demo_sqlite"):
            jobs.append(send(sealed, [marked(1), marked(2), *bad_items(3)], database=database))
            jobs.append(send(sealed, [marked(4, carePlan_Key=6), *bad_items(5)], "/care-plans/5/cases-batch", database))
        jobs.append(send(sealed, [marked(6), marked(7, case_Priority=1_618_034_013), taken]))
        for job_id in jobs:
            sealed.final(job_id)  # a job waits for its database only once those before it are out of its way
        allow_connections(sealed, False)
        try:
            jobs.append(send(sealed, [marked(8), marked(9)]))
            eventually(lambda: (job := sealed.job(jobs[-1])) and job["state"] == "waiting", what="the job waits")
            in_flight = all_of_redis(sealed)
        finally:
            allow_connections(sealed, True)
        # a process that is killed takes with it the spans that it has not sent
        eventually(lambda: [span for span in collector.spans if span.error], what="failures have spans")
        jobs.append(die_with(sealed, [marked(10), marked(11, case_Priority=1_618_034_013)]))

        statuses = set()
        for job_id in jobs:
            answers.append(json.dumps(sealed.final(job_id)))
            result = client.get(f"/jobs/{job_id}/result")
            statuses |= {item["status"] for item in result.json()["data"]}
            answers.append(result.text)
        assert statuses == {200, 201, 409, 422, 500} - ({200} - statuses), "each kind of failure has happened"
        answers.append(client.get("/metrics").text)

    collector.awaited("job", job_id=jobs[-1])
    places = {
        "the answers": "\n".join(answers),
        "the logs": sealed.logs() + (sealed.place / "up.log").read_text(),
        "Redis, while a job waits": in_flight,
        "Redis": all_of_redis(sealed),
        "the files of Redis": files_of_redis(sealed),
        "Flower": all_of_flower(sealed, jobs[-1]),
        "the arguments of processes": arguments(sealed),
        "the spans": "\n".join([*map(str, collector.spans), *map(repr, collector.bodies)]),
    }
    assert {"validate", "write", "complete", "PUT /care-cases-batch"} <= {span.name for span in collector.spans}
    assert collector.elsewhere == [], "nothing but our spans is sent"
    for place, seen in places.items():
        assert len(seen) > 500, f"there is something to search in {place}"
        found = [mark for mark in marks() if mark in seen]
        assert not found, f"{found} in {place}: …{seen[max(seen.find(found[0]) - 200, 0) :][:400]}"
    promised = ("the answers",)
    keys = [str(KEY + number) for number in (*range(12), 900)]
    for place in sorted(set(places) - set(promised)):
        assert not [key for key in keys if key in places[place]], f"a case key in {place}"
    assert sealed.query(f"SELECT member_seq FROM care_case WHERE case_key = {KEY + 8}") == [(OTHER_SCRIPTS,)]


def test_no_secret_is_printed_or_seen_on_the_machine(sealed: System) -> None:
    held = json.loads((sealed.data_dir / "secrets.json").read_text())
    secrets = [*held.pop("api_keys").values(), *held.values()]
    assert len(secrets) > 6
    seen = sealed.logs() + arguments(sealed)
    assert [secret for secret in secrets if secret in seen] == []


def test_nobody_was_denied_by_redis(sealed: System) -> None:
    denied = redis.Redis.from_url(sealed.stack["redis"]["url"]).acl_log()
    assert [entry for entry in denied if entry["username"] in ("carecase", "flower")] == []


def test_chunks_are_legible_without_keys_and_the_broker_knows_ids_only(system: System) -> None:
    job_id = send(system, [marked(20)], database="demo_sqlite")
    system.final(job_id)
    client = redis.Redis.from_url(system.stack["redis"]["url"])
    names = list(client.scan_iter("b:*", count=1000))
    assert names
    for name in names:
        assert MARK.encode() not in (client.dump(name) or b"")


def by_status(system: System, job_id: str) -> dict[int, dict[str, Any]]:
    """The lines about a job in the access log."""
    logged = (Path(system.data_dir) / "logs" / "intake.log").read_text().splitlines()
    lines = [json.loads(line) for line in logged if line.startswith("{") and job_id in line]
    return {line["status"]: line for line in lines if line["event"] == "request"}


def test_the_access_log_tells_who_sent_what_and_who_read_it(system: System) -> None:
    body = json.dumps([marked(30), marked(31)]).encode()
    with system.client("other", "demo") as client:
        given = {"content-type": "text/json", "traceparent": str(a_traceparent(1))}
        sent = client.put("/care-cases-batch", content=body, headers=given)
        job_id = sent.json()["job"]["jobId"]
        eventually(lambda: client.get(f"/jobs/{job_id}").json()["data"]["state"] == "completed")
        result = client.get(f"/jobs/{job_id}/result", headers={"Accept-Encoding": "identity"})
    with system.client("demo") as stranger:
        assert stranger.get(f"/jobs/{job_id}/result").status_code == 404
    lines = eventually(lambda: (found := by_status(system, job_id)) and {202, 207, 404} <= set(found) and found)
    assert {
        "client": "other",
        "user": "other",
        "method": "PUT",
        "route": "/care-cases-batch",
        "status": 202,
        "database": "demo",
        "items": 2,
        "bytes": len(body),
        "trace_id": a_traceparent(1).trace_id,
    }.items() <= lines[202].items()
    (documented,) = [line for line in PAGE.read_text().splitlines() if line.startswith('{"event"')]
    assert set(lines[202]) == set(json.loads(documented)), "the page shows the line as it is"
    read = {"client": "other", "method": "GET", "route": "/jobs/{jobId}/result", "status": 207, "database": "demo"}
    assert {**read, "items": 2, "bytes_sent": len(result.content)}.items() <= lines[207].items()
    refused = {"client": "demo", "route": "/jobs/{jobId}/result", "status": 404, "reason": "job-not-found"}
    assert refused.items() <= lines[404].items()
    assert "database" not in lines[404], "nothing was told of the job"
