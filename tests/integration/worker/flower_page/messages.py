"""Messages of workers and tasks, as Celery sends them to Flower."""

import base64
import json
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

from tests.integration.worker.flower_page.page import PASSWORD, TASKS, USER, WORKERS
from tests.plain_http import http_get


def is_known(url: str) -> bool:
    return http_get(url, auth=(USER.encode(), PASSWORD.encode())).status_code == 200


def id_of(number: int) -> str:
    return str(UUID(int=number + 1))


def worker_of(number: int) -> str:
    """The worker of a task: each has a few, and is then started anew."""
    return f"celery@host-{number // (TASKS // WORKERS)}x"


def message_of(numbers: "range") -> str:
    """The message of the events of some tasks."""
    events = [event for number in numbers for event in events_of_task(number)]
    return json.dumps({"body": base64.b64encode(json.dumps(events).encode()).decode()})


def events_of_task(number: int) -> "Iterator[dict[str, object]]":
    jobs = ", ".join(str(uuid4()) for _ in range(8))
    common = {"uuid": id_of(number), "hostname": worker_of(number), "pid": 1, "timestamp": time.time(), "utcoffset": 0}
    task = {"name": "carecase.apply_chunk", "args": f"('{uuid4()}', 0)", "kwargs": "{}", "retries": 0}
    yield {"type": "worker-heartbeat", **common, "clock": 4 * number + 1, "freq": 2}
    yield {"type": "task-received", **common, "clock": 4 * number + 2, **task}
    yield {"type": "task-started", **common, "clock": 4 * number + 3}
    line = f"'demo: 990 created, 10 failed in 8 chunks; 8 jobs: {jobs}'"
    yield {"type": "task-succeeded", **common, "clock": 4 * number + 4, "result": line, "runtime": 0.1}
