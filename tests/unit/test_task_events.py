"""Messages of Celery's events: what Flower can count is taken from them, and nothing else stops it."""

import base64
import json
from typing import Any

import pytest

from carecase_worker.flower.task_events import events_of

BEAT = {"type": "worker-heartbeat", "hostname": "one@here", "timestamp": 1.5, "clock": 3, "active": 1}
TASK = {"type": "task-received", "uuid": "an id", "hostname": "one@here", "timestamp": 1, "clock": 4}


def message(body: object, **changes: Any) -> bytes:
    held = {"body": base64.b64encode(json.dumps(body).encode()).decode(), "content-type": "application/json"}
    return json.dumps({**held, **changes}).encode()


def test_one_event_and_several_are_taken_as_they_are() -> None:
    assert events_of(message(BEAT)) == [BEAT]
    assert events_of(message([TASK, BEAT, TASK])) == [TASK, BEAT, TASK]


@pytest.mark.parametrize("left_out", ["type", "hostname", "timestamp", "clock", "uuid"])
def test_an_event_that_lacks_a_part_is_left_out_and_the_others_are_not(left_out: str) -> None:
    lacking = {name: value for name, value in TASK.items() if name != left_out}
    assert events_of(message([lacking, BEAT])) == [BEAT]


@pytest.mark.parametrize(
    ("name", "value"), [("type", 5), ("hostname", None), ("timestamp", "now"), ("clock", "3"), ("uuid", ["an id"])]
)
def test_so_is_one_with_a_part_of_another_type(name: str, value: object) -> None:
    assert events_of(message([{**TASK, name: value}, BEAT])) == [BEAT]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"hello", b"\xff\xfe", b"[" * 200_000, b"null", b"[]", b"5", b"{}", b'{"body": 5}', b'{"body": "!"}',
        b'{"body": "' + base64.b64encode(b"no JSON") + b'"}', message(None), message(5), message("text"),
        message([5, None, []]),
    ],
)  # fmt: skip
def test_what_is_no_message_of_events_has_none(data: bytes) -> None:
    assert events_of(data) == []
