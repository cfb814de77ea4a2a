"""An error that nobody expected is in the worker's log, by type and place alone, and the worker goes on."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.acceptance.system import COMMAND, eventually
from tests.builders import a_batch, a_case, a_new_job
from tests.integration.targets.databases import engine_at
from tests.plain_http import http_get
from tests.ports import free_port
from tests.receiver import SECRET
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import Chunk, ChunkRef
from carecase_worker.batches.payloads import pack
from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.settings.loading import load, process_environment
from carecase_worker.store.job import State
from carecase_worker.targets.schema.migration import upgrade

UNREADY = """
from carecase_worker.settings.loading import load
from carecase_worker.worker.app import create_worker
from carecase_worker.worker.health.signs import Signs
from carecase_worker.worker.metrics import metrics_of
from carecase_worker.worker.schema_watch import SchemaWatch
app = create_worker(load(), Signs(), metrics_of(load()), SchemaWatch({}))
(apply,) = (task for name, task in app.tasks.items() if not name.startswith("celery."))
apply("0199c0de-0000-7000-8000-000000000001", 0)
"""
WITHOUT_SECRETS = """
from carecase_worker.settings.loading import load
from carecase_worker.telemetry import configure_logging
from carecase_worker.worker.app import create_worker
from carecase_worker.worker.health.signs import Signs
from carecase_worker.worker.metrics import metrics_of
from carecase_worker.worker.schema_watch import SchemaWatch
configure_logging(load().log)
create_worker(load(), Signs(), metrics_of(load()), SchemaWatch({}))
"""
WITHOUT_REDIS = """
import threading
from celery import signals
from carecase_worker.settings.loading import load
from carecase_worker.telemetry import configure_logging
from carecase_worker.worker.app import create_worker
from carecase_worker.worker.health.signs import Signs
from carecase_worker.worker.metrics import metrics_of
from carecase_worker.worker.schema_watch import SchemaWatch
configure_logging(load().log)
create_worker(load(), Signs(), metrics_of(load()), SchemaWatch({}))
signals.worker_ready.send(sender=None)
input()
print(sum(thread.name == "housekeeping" for thread in threading.enumerate()))
"""
DEEP = 940
"""Levels that an intake accepts on every Python."""
MARKED = "Winterfylleth"
"""What no log may have."""


@dataclass
class Worker:
    """A worker that sweeps twice a second, and a Redis in which somebody else has written."""

    log: Path
    store: Stores
    notifier: Notifier
    redis: "redis.Redis"
    port: int

    def admit(self, items: bytes = a_batch(a_case(1, case_ID=MARKED)), notify: bool = True) -> str:
        """Admit one chunk; the job."""
        new = a_new_job()
        to_notify = self.store.batches.admit(new, {0: pack(Chunk(0, 1, items))}).to_notify
        if notify:
            self.notifier.notify("demo", to_notify)
        return new.job_id

    def completes(self, job_id: str) -> None:
        eventually(lambda: self.store.jobs.job(job_id).state is State.COMPLETED, what="the job completes")

    def tells(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line of the log that it is."""

        def found() -> dict[str, Any] | None:
            whole = self.log.read_text().rpartition("\n")[0]
            lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
            return next(filter(is_it, lines), None)

        line: dict[str, Any] = eventually(found, what="it is told")
        return line


@pytest.fixture(scope="module")
def worker(servers: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    place = tmp_path_factory.mktemp("unexpected")
    settings = {
        "REDIS_URL": servers.redis_url,
        "REDIS_PREFIX": "unexpected:",
        "BROKER_PREFIX": "unexpectedb:",
        "DATABASES_DEMO_URL": f"sqlite:///{place}/demo.sqlite",
        "WORKER_CONCURRENCY": "1",
        "WORKER_SWEEP_SECONDS": "0.5",
        "WORKER_PORT": str(free_port()),
        "JOBS_RENOTIFY_AFTER_SECONDS": "1",
    }
    variables = {f"CARECASE_{name}": value for name, value in settings.items()}
    with engine_at(settings["DATABASES_DEMO_URL"]) as database:
        upgrade(database)
    log = place / "worker.log"
    with log.open("wb") as output:
        environment = {**process_environment(), **variables}
        process = subprocess.Popen([*COMMAND, "worker"], cwd=place, env=environment, stdout=output, stderr=output)
    loaded = load(environment=variables)
    store = Stores(loaded.redis, loaded.jobs)
    try:
        with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
            yield Worker(log, store, Notifier(celery_app(loaded)), client, loaded.worker.port)
        assert MARKED not in log.read_text()
    finally:
        process.terminate()
        process.wait(120)
        store.client.close()


def test_a_chunk_that_cannot_even_be_taken_is_left_for_the_sweep(worker: Worker) -> None:
    job_id = worker.admit(notify=False)
    record = worker.store.keys.job(job_id)
    right = worker.redis.hget(record, "accepted_us")
    worker.redis.hset(record, "accepted_us", "no moment")
    entry = worker.tells(lambda line: line.get("job_id") == job_id and line["level"] == "error")
    assert (entry["event"], entry["error"], entry["chunk_no"]) == ("chunk left for the sweep", "ValidationError", 0)
    worker.redis.hset(record, "accepted_us", str(right))
    worker.notifier.notify("demo", [ChunkRef(job_id, 0)])  # the sweep does, too, once the lease is over
    worker.completes(job_id)


def test_a_deeply_nested_item_that_an_intake_accepts_is_applied(worker: Worker) -> None:
    """A worker is deeper in calls than an intake is when it reads the same item."""
    deep = "[" * DEEP + "]" * DEEP
    items = f'[{{"case_Key": 500, "carePlan_Key": 5, "do_Not_Contact": false, "more": {deep}}}]'
    worker.completes(job_id := worker.admit(items=items.encode()))
    assert worker.store.jobs.job(job_id).counts["created"] == 1


def test_the_schema_of_a_database_is_in_the_metrics(worker: Worker) -> None:
    worker.completes(worker.admit())

    def is_there() -> bool:
        metrics = http_get(f"http://127.0.0.1:{worker.port}/metrics").text
        return 'carecase_schema_behind{database="demo"} 0.0' in metrics.splitlines()

    eventually(is_there, what="the schema is reported as one that fits")


def test_a_chunk_over_which_an_attempt_fails_is_let_go_and_others_are_applied(worker: Worker) -> None:
    job_id = worker.admit(items=f'[{{"case_ID": "{MARKED}"'.encode())
    record = worker.tells(lambda line: line.get("job_id") == job_id and line["level"] == "error")
    assert (record["event"], record["error"], record["chunk_no"]) == ("chunk failed", "DecodeError", 0)
    record = worker.tells(lambda line: line.get("job_id") == job_id and line["event"] == "chunk")
    assert (record["verdict"], record["reason"]) == ("released: unexpected", "unexpected")
    worker.completes(worker.admit())
    eventually(lambda: not worker.redis.hgetall(f"{worker.store.keys.prefix}holding"), what="nobody holds it")
    assert not worker.store.jobs.job(job_id).state.final, "it comes again"
    worker.store.jobs.cancel(job_id)


def test_a_sweep_that_fails_is_made_again_next_time(worker: Worker) -> None:
    due = worker.store.keys.due("demo")
    worker.redis.zadd(due, {"a job:no number": 0})
    record = worker.tells(lambda line: line.get("error") == "ValueError")
    assert (record["level"], record["event"]) == ("error", "housekeeping left for next time")
    worker.redis.zrem(due, "a job:no number")
    worker.completes(worker.admit(notify=False))


def test_no_part_of_housekeeping_ends_because_redis_was_away_once(tmp_path: Path) -> None:
    """Or else, as an example, no ledger would be purged until somebody starts the worker again."""
    named = {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "DATABASES_DEMO_URL": f"sqlite:///{tmp_path}/nowhere.sqlite",
        "WORKER_SWEEP_SECONDS": "86400",
        "WEBHOOKS_CRM_URL": "https://h/w",
        "WEBHOOKS_CRM_CLIENT": "demo",
        "WEBHOOKS_CRM_SECRETS": SECRET,
    }
    environment = {**process_environment(), **{f"CARECASE_{name}": value for name, value in named.items()}}
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_REDIS], env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output
        )
        try:
            failed = "housekeeping left for next time"
            eventually(lambda: log.read_text().count(failed) >= 5, what="heartbeat, order, sweep, purge and webhooks")
        finally:
            process.communicate(b"\n", timeout=60)
    assert log.read_text().splitlines()[-1] == "6", "they go on, and so does the look at the schemas"


def test_a_webhook_without_secrets_is_told_of_at_start(servers: Services) -> None:
    named = {"REDIS_URL": servers.redis_url, "LOG_FORMAT": "json"} | {
        f"WEBHOOKS_{name}_{setting}": value
        for name, secret in (("CRM", ""), ("ERP", SECRET))
        for setting, value in (("URL", "https://h/w"), ("CLIENT", "demo"), ("SECRETS", secret))
        if value
    }
    environment = {**process_environment(), **{f"CARECASE_{name}": value for name, value in named.items()}}
    command = [sys.executable, "-c", WITHOUT_SECRETS]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    lines = [json.loads(line) for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("{")]
    assert [(line["client"], line["reason"]) for line in lines if line["event"] == "webhook not delivered to"] == [
        ("demo", "webhooks.crm.secrets is not set: its events wait")
    ]


def test_a_notification_in_a_process_that_was_not_made_ready_is_an_error(servers: Services) -> None:
    environment = {**process_environment(), "CARECASE_REDIS_URL": servers.redis_url}
    command = [sys.executable, "-c", UNREADY]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == "RuntimeError: worker_process_init has not run"
