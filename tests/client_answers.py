"""Answers of the service for the client's calls, and how a call goes on with them; no service is there."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carecase_worker.client.exchange.calls import Calls
from carecase_worker.client.exchange.steps import Delay, NoResponse, Reply, Request, Response, Result, Steps, advance
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.client.uploads import Upload

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
JOB = "0199c0de-0000-7000-8000-000000000001"
UPLOAD = Upload(lambda: iter([b"[]"]))
LOST = NoResponse("ReadError")


class Hands:
    """A clock that moves with the delays, the same random number always, ids that are counted."""

    def __init__(self, roll: float = 0.0) -> None:
        self.moment = NOW
        self._roll = roll
        self._ids = 0

    def now(self) -> datetime:
        return self.moment

    def random(self) -> float:
        return self._roll

    def new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)


def calls_of(hands: Hands, policy: RetryPolicy = RetryPolicy()) -> Calls:  # noqa: B008  # frozen
    return Calls("demo", hands, hands, hands.new_id, policy)


def job(state: str = "running", **members: Any) -> dict[str, Any]:
    counts = {"total": 3, "processed": 0, "created": 0, "updated": 0, "superseded": 0, "failed": 0, "cancelled": 0}
    return {
        "jobId": JOB,
        "state": state,
        "database": "demo",
        "carePlanKey": None,
        **counts,
        "futureMember": 1,
        **members,
    }


def job_response(state: str = "running", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(200, named, json.dumps({"data": job(state), "error": None, "debug": {}}).encode())


def accepted() -> Response:
    body = {"data": None, "error": None, "debug": {"activityID": JOB}, "job": job("queued")}
    return Response(202, {}, json.dumps(body).encode())


def problem(status: int, detail: str = "So it is.", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"data": None, "error": {"status": status, "detail": detail}, "debug": {"activityID": "a-1"}}
    return Response(status, named, json.dumps(body).encode())


def result(*items: dict[str, Any], page: tuple[int, int] | None = None) -> Response:
    headers = (
        {"x-pagination": json.dumps({"TotalCount": 9, "TotalPages": page[1], "CurrentPage": page[0]})} if page else {}
    )
    return Response(207, headers, json.dumps({"data": items, "error": None}).encode())


def item(key: int | None, status: int, body: str, **members: Any) -> dict[str, Any]:
    return {"id": [{"key": "case_Key", "value": key}], "status": status, "body": body, **members}


def play(steps: Steps[Any], replies: Iterable[Reply], hands: Hands) -> tuple[list[Request | Delay], Any]:
    """The steps that a call takes when its requests get these replies, and what it comes to."""
    taken: list[Request | Delay] = []
    left = list(replies)
    step = advance(steps)
    while not isinstance(step, Result):
        taken.append(step)
        if isinstance(step, Delay):
            hands.moment += step.duration
            step = advance(steps)
        else:
            step = advance(steps, left.pop(0))
    assert not left
    return taken, step.value


def delays(steps: Iterable[Request | Delay]) -> list[float]:
    return [step.duration.total_seconds() for step in steps if isinstance(step, Delay)]
