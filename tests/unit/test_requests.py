"""What happens around every request: one answer, one line in the log, and no more of either if something breaks."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from carecase_worker.intake.http.middleware.access_log import AccessLog
from carecase_worker.intake.limits.log_quota import LogQuota
from carecase_worker.telemetry import Metrics
from carecase_worker.tracing.tracer import NO_TRACER

START: Message = {"type": "http.response.start", "status": 207, "headers": []}
PART: Message = {"type": "http.response.body", "body": b"a part", "more_body": True}


def served(app: ASGIApp, **scope: Any) -> tuple[list[Message], list[MutableMapping[str, Any]]]:
    """What is sent for a request that an application serves, and what is logged."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    guarded = AccessLog(app, Metrics(lambda: ()), lambda: "an id", LogQuota(10), NO_TRACER)
    request = {"type": "http", "method": "GET", "path": "/jobs", "headers": [], "client": ("192.0.2.7", 1), **scope}
    with capture_logs() as logs:
        asyncio.run(guarded(request, receive, send))
    return sent, logs


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("of nobody's business")


async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(PART)
    raise LookupError("of nobody's business")


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"done"})


def test_whoever_was_sent_nothing_learns_that_something_broke() -> None:
    sent, logs = served(breaks)
    assert [(one["type"], one.get("status")) for one in sent] == [
        ("http.response.start", 500),
        ("http.response.body", None),
    ]
    assert b'"an id"' in sent[1]["body"]
    assert [(one["event"], one.get("status")) for one in logs] == [("request failed", None), ("request", 500)]


def test_an_answer_that_breaks_off_is_followed_by_no_other() -> None:
    sent, logs = served(breaks_off)
    assert sent == [START, PART]
    assert [(one["event"], one.get("status"), one.get("bytes_sent")) for one in logs] == [
        ("request failed", None, None),
        ("request", 207, 6),
    ]


@pytest.mark.parametrize(
    ("client", "connected", "address"),
    [
        (("::ffff:192.0.2.7", 1), None, "192.0.2.7"),
        (("what a proxy tells", 1), "192.0.2.8", "192.0.2.8"),
        (None, None, None),
        (("", 0), None, None),
    ],
    ids=["of an address", "of a proxy that tells none", "of a socket's file", "of one without a name"],
)
def test_the_log_has_the_address_that_a_request_comes_from_if_there_is_one(
    client: tuple[str, int] | None, connected: str | None, address: str | None
) -> None:
    _, (line,) = served(answers, client=client, **{"carecase.connected": connected})
    assert line.get("address") == address
    assert ("address" in line) == (address is not None)
