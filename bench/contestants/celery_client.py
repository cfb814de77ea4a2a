"""Plain Celery's other side: the worker's process, and who sends the tasks."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.cases import plain_cases
from bench.contestants.tasks import BROKER, DATABASE, app, apply

_LOOK_S = 0.02


@contextmanager
def worker(redis_url: str, database_url: str, log: Path) -> Iterator[None]:
    """A Celery worker with two pool processes."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "bench.contestants.tasks",
        "worker",
        "-c",
        "2",
        "--loglevel=WARNING",
    ]
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, BROKER: redis_url, DATABASE: database_url},
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to answer
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def send_tasks(redis_url: str, dsn: str, path: Path, size: int) -> Callable[[], None]:
    """Send a task for every `size` cases; return once all cases are there. A first task finds the worker running."""
    app.conf.broker_url = redis_url
    cases = plain_cases(path)
    connection = psycopg.connect(dsn, autocommit=True)
    for _ in range(4):
        apply.delay(cases[:1])
    _wait(connection, 1)
    time.sleep(0.5)  # so that both pool processes have had one
    connection.execute("TRUNCATE care_case")

    def run() -> None:
        for start in range(0, len(cases), size):
            apply.delay(cases[start : start + size])
        _wait(connection, len(cases))

    return run


def _wait(connection: "psycopg.Connection[tuple[int]]", count: int) -> None:
    while True:
        found = connection.execute("SELECT count(*) FROM care_case").fetchone()
        if found and found[0] == count:
            return
        time.sleep(_LOOK_S)
