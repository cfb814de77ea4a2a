"""Garbage in a queue of the broker: it is dropped with a line in the log that quotes none of it, and work goes on."""

import base64
import json
import pickle
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from celery.worker.consumer import Consumer
from kombu.transport import redis as redis_transport
from tests.acceptance.system import COMMAND, eventually
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.services import lone_valkey, redis_url
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import pack
from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.settings.loading import load, process_environment

MARK = "xyzzy-4711"
QUEUE = "b:cases.demo"
JOB = "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"


def test_what_is_overridden_of_celery_and_kombu_is_there() -> None:
    """Internals: a new version of either is to be looked at, see pyproject.toml."""
    for owner, name in (
        (Consumer, "create_task_handler"),
        (Consumer, "on_decode_error"),
        (redis_transport.Channel, "_brpop_read"),
        (redis_transport.Transport, "_deliver"),
    ):
        assert callable(getattr(owner, name))


@dataclass
class Worker:
    """A worker on its own, with its broker and its log."""

    process: "subprocess.Popen[bytes]"
    broker: "redis.Redis"
    store: Stores
    notifier: Notifier
    log: Path

    def dropped(self) -> int:
        lines = self.log.read_text().splitlines()
        return sum('"message dropped"' in line and '"reason"' in line for line in lines)

    def works(self) -> None:
        """Send a case; it is applied."""
        (chunk,) = chunks_of(a_batch(a_case(1)))
        new = a_new_job()
        self.notifier.notify("demo", self.store.batches.admit(new, {0: pack(chunk)}).to_notify)
        eventually(lambda: self.store.jobs.job(new.job_id).state.final, what="the case is applied")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    place = tmp_path_factory.mktemp("garbage")
    with lone_valkey(place / "valkey") as port:
        url = redis_url(port)
        variables = {"CARECASE_REDIS_URL": url, "CARECASE_DATABASES_DEMO_URL": f"sqlite:///{place}/demo.sqlite"}
        environment = {**process_environment(), **variables, "CARECASE_WORKER_CONCURRENCY": "1"}
        subprocess.run([*COMMAND, "db", "upgrade"], cwd=place, env=environment, check=True, timeout=60)
        settings = load(environment=variables)
        log = place / "worker.log"
        with log.open("wb") as output:
            process = subprocess.Popen([*COMMAND, "worker"], cwd=place, env=environment, stdout=output, stderr=output)
        try:
            made = Worker(
                process,
                redis.Redis.from_url(url),
                Stores(settings.redis, settings.jobs),
                Notifier(celery_app(settings)),
                log,
            )
            made.works()
            yield made
        finally:
            process.terminate()
            process.wait(60)


def notification(**changes: Any) -> dict[str, Any]:
    """A message as the service sends it; members with a dot are replaced inside, `...` is left out."""
    body = changes.pop("body", [[JOB, 0], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    message: dict[str, Any] = {
        "body": base64.b64encode(text).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "carecase.apply_chunk", "id": JOB, "retries": 0, "mark": MARK},
        "properties": {
            "delivery_info": {"exchange": "", "routing_key": "cases.demo"},
            "body_encoding": "base64",
            "delivery_tag": f"{JOB} {MARK}",
            "priority": 0,
        },
    }
    for name, value in changes.items():
        *path, last = name.split("__")
        held = message
        for member in path:
            held = held[member.replace("_in_", "-")]
        last = last.replace("_of_", "-")
        if value is ...:
            del held[last]
        else:
            held[last] = value
    return message


GARBAGE: dict[str, bytes | dict[str, Any] | Callable[[], dict[str, Any]]] = {
    "empty": b"",
    "text": f"hello {MARK}".encode(),
    "binary": bytes(range(256)) + MARK.encode(),
    "not UTF-8": b'{"body": "\xff\xfe ' + MARK.encode() + b'"}',
    "half of JSON": b'{"body": "' + MARK.encode(),
    "deeply nested": b"[" * 200_000,
    "pickle": pickle.dumps({"task": MARK}),
    "huge": b'"' + MARK.encode() * 2_000_000 + b'"',
    "a number": b"4711",
    "a string": json.dumps(MARK).encode(),
    "null": b"null",
    "a list": json.dumps([MARK]).encode(),
    "an empty object": b"{}",
    "another object": json.dumps({"task": MARK, "args": [1]}).encode(),
    "what kombu takes for a date": b'{"__type__": "datetime", "__value__": 5}',
    "what kombu takes for a type": b'{"__type__": [], "__value__": 5}',
    "no properties": notification(properties=...),
    "properties that are a list": notification(properties=[MARK]),
    "no delivery tag": notification(properties__delivery_tag=...),
    "a delivery tag that is an object": notification(properties__delivery_tag={MARK: MARK}),
    "a delivery tag that is a number": notification(properties__delivery_tag=5),
    "no delivery info": notification(properties__delivery_info=...),
    "delivery info without a routing key": notification(properties__delivery_info={"exchange": MARK}),
    "an unknown body encoding": notification(properties__body_encoding=MARK),
    "a body that is not base64": {**notification(), "body": f"!!{MARK}!!"},
    "a body that is an object": {**notification(), "body": {MARK: MARK}},
    "no body": notification(body=b"") | {"body": None},
    "no headers": notification(headers=...),
    "headers that are a list": notification(headers=[MARK]),
    "headers without a task": notification(headers__task=...),
    "headers without an id": notification(headers__id=...),
    "an id that is an object": notification(headers__id={MARK: 1}),
    "an id that is none": notification(headers__id=MARK),
    "an unknown task": notification(headers__task=MARK),
    "a task that is a list": notification(headers__task=[MARK]),
    "a pickled body": notification(body=pickle.dumps([MARK])) | {"content-type": "application/x-python-serialize"},
    "an unknown compression": notification(headers__compression=MARK),
    "a bomb": lambda: notification(headers__compression="application/x-gzip", body=zlib.compress(bytes(1 << 27))),
    "an unknown content type": notification() | {"content-type": MARK},
    "no content type": notification() | {"content-type": None},
    "a body that is not JSON": notification(body=MARK.encode()),
    "a body that is deeply nested": notification(body=b"[" * 200_000),
    "a body that is a number": notification(body=5),
    "a body without arguments": notification(body=[[], {}, {}]),
    "too many arguments": notification(body=[[JOB, 0, MARK], {}, {}]),
    "a job that is no id": notification(body=[[MARK, 0], {}, {}]),
    "a job that is a list": notification(body=[[[JOB], 0], {}, {}]),
    "a chunk that is a text": notification(body=[[JOB, MARK], {}, {}]),
    "a chunk that is true": notification(body=[[JOB, True], {}, {}]),
    "a chunk that is negative": notification(body=[[JOB, -1], {}, {}]),
    "named arguments": notification(body=[[JOB, 0], {MARK: 1}, {}]),
    "of Celery's first protocol": notification(body={"task": MARK, "id": JOB, "args": [JOB, 0]}, headers={}),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_dropped(worker: Worker, name: str) -> None:
    element = made() if callable(made := GARBAGE[name]) else made
    text = element if isinstance(element, bytes) else json.dumps(element).encode()
    before = worker.dropped()
    worker.broker.lpush(QUEUE, text)
    eventually(lambda: worker.dropped() == before + 1, what="it is dropped")
    worker.broker.rpush(QUEUE, text)
    eventually(lambda: worker.dropped() == before + 2, what="it is dropped at the other end, too")


ODD: dict[str, dict[str, Any]] = {
    "a moment to wait for": notification(headers__eta=MARK),
    "an expiry": notification(headers__expires={MARK: 1}),
    "time limits": notification(headers__timelimit=[MARK, 1e400]),
    "a group": notification(headers__group=[MARK], headers__stamps=MARK, headers__stamped_headers=5),
    "callbacks": notification(body=[[JOB, 0], {}, {"callbacks": [{"task": MARK}], "chain": [MARK], "chord": 5}]),
    "options that are a list": notification(body=[[JOB, 0], {}, [MARK]]),
    "a priority that is a text": notification(properties__priority=MARK),
}


@pytest.mark.parametrize("name", ODD)
def test_of_a_notification_only_the_ids_count(worker: Worker, name: str) -> None:
    before = worker.log.read_text().count('"verdict": "gone"')
    worker.broker.lpush(QUEUE, json.dumps(ODD[name]))
    eventually(lambda: worker.log.read_text().count('"verdict": "gone"') > before, what="its chunk is looked for")


def test_after_all_that_the_worker_is_the_same_and_has_logged_nothing_of_it(worker: Worker) -> None:
    worker.works()
    assert worker.process.poll() is None
    log = worker.log.read_text()
    assert MARK not in log
    assert log.count("Traceback") == log.count("Connection to broker lost") == 0
    broker = worker.broker
    eventually(
        lambda: broker.llen(QUEUE) == broker.hlen("b:unacked") == broker.zcard("b:unacked_index") == 0,
        what="every message is acknowledged, also that of the last chunk, which is final a moment earlier",
    )
    assert ChunkRef(JOB, 0) not in worker.store.leases.overdue("demo", 0)
