"""Following a job by its events, over connections that end."""

import asyncio
import json

import pytest
from tests.peers import JOB, Reply, a_job, answering, told

from carecase_worker.client.access import Access
from carecase_worker.client.api import connect, connect_async, connect_to
from carecase_worker.client.events import JobEvent
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.errors import ServiceUnreachable

BEGUN = f"retry: 1\nid: none\n\nid: 1\nevent: progress\ndata: {json.dumps(a_job('running'))}\n\nid: 2\nevent: prog"
ENDED = f"id: end\nevent: final\ndata: {json.dumps(a_job(created=3))}\n\n"
_STREAM = {"Content-Type": "text/event-stream"}


def followed(*replies: Reply) -> tuple[list[str], list[str | None]]:
    """The names of the events that were reported, and the Last-Event-ID of each request."""
    events: list[JobEvent] = []
    with answering(*replies) as peer:
        access = Access(peer.url, api_key="k", token="t", database="d")
        with connect_to(access, RetryPolicy(tries=1)) as client:
            assert client.follow(JOB, events.append).created == 3
    return [event.name for event in events], [request.headers.get("last-event-id") for request in peer.received]


def test_a_stream_that_ends_early_is_resumed_after_the_last_whole_event() -> None:
    names, sent = followed(Reply(200, BEGUN.encode(), _STREAM), Reply(200, ENDED.encode(), _STREAM))
    assert (names, sent) == (["progress", "final"], [None, "1"])


def test_a_job_of_which_nothing_more_is_told_is_read_instead() -> None:
    names, sent = followed(Reply(200, BEGUN.encode(), _STREAM), Reply(204), told(created=3))
    assert (names, sent) == (["progress"], [None, "1", None])


@pytest.mark.parametrize("is_async", [False, True])
def test_a_page_in_place_of_the_events_is_reported(is_async: bool) -> None:
    """Else it would be asked for again and again, and nobody would know why nothing happens."""
    page = Reply(200, b"<html>Please sign in.</html>", {"Content-Type": "text/html"})

    async def follow(url: str) -> None:
        async with connect_async(url) as client:
            await client.follow(JOB, print)

    def follow_by(url: str) -> None:
        if is_async:
            asyncio.run(follow(url))
            return
        with connect(url) as client:
            client.follow(JOB, print)

    with answering(page) as peer, pytest.raises(ServiceUnreachable, match="200: this is not a response of the service"):
        follow_by(peer.url)
