"""Following a job by its events, over connections that end."""

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.peers import JOB, Reply, a_job, answering, job_reply, problem

from carecase_worker.client.access import Access
from carecase_worker.client.api import connect_async, connect_to
from carecase_worker.client.documents import Job
from carecase_worker.client.events import JobEvent
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.errors import JobUnknown, ServiceUnreachable

BEGUN = f"retry: 1\nid: none\n\nid: 1\nevent: progress\ndata: {json.dumps(a_job('running'))}\n\nid: 2\nevent: prog"
ENDED = f"id: end\nevent: final\ndata: {json.dumps(a_job(created=3))}\n\n"
_STREAM = {"Content-Type": "text/event-stream"}


def follow(url: str, is_async: bool, on_event: Callable[[JobEvent], None], outcomes: bool = True) -> Job:
    """Follow the job by one kind of client."""

    async def ask() -> Job:
        async with connect_async(url) as client:
            return await client.follow(JOB, on_event, outcomes)

    if is_async:
        return asyncio.run(ask())
    access = Access(url, api_key="k", token="t", database="d")
    with connect_to(access, RetryPolicy(tries=1)) as client:
        return client.follow(JOB, on_event, outcomes)


def followed(is_async: bool, *replies: Reply) -> tuple[list[str], list[str | None]]:
    """The names of the events that were reported, and the Last-Event-ID of each request."""
    events: list[JobEvent] = []
    with answering(*replies) as peer:
        assert follow(peer.url, is_async, events.append).created == 3
    return [event.name for event in events], [request.headers.get("last-event-id") for request in peer.received]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("is_cut_off", [False, True])
def test_a_stream_that_ends_early_is_resumed_after_the_last_whole_event(is_cut_off: bool, is_async: bool) -> None:
    begun = Reply(200, BEGUN.encode(), _STREAM, is_cut_off=is_cut_off)
    names, sent = followed(is_async, begun, Reply(200, ENDED.encode(), _STREAM))
    assert (names, sent) == (["progress", "final"], [None, "1"])


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_wherever_a_stream_is_cut_off_the_next_one_is_read_from_its_beginning(cut: int) -> None:
    """The service begins each with the time after which to come again, and the last id."""
    cut_off, resumed = f"{BEGUN}ress\ndata: {json.dumps(a_job('running'))}"[:-cut], f"retry: 1\nid: 1\n\n{ENDED}"
    replies = [Reply(200, text.encode(), _STREAM) for text in (cut_off, resumed)]
    names, sent = followed(False, *replies)
    assert (names, sent) == (["progress", "final"], [None, "1"])


@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_of_which_nothing_more_is_told_is_read_instead(is_async: bool) -> None:
    names, sent = followed(is_async, Reply(200, BEGUN.encode(), _STREAM), Reply(204), job_reply(created=3))
    assert (names, sent) == (["progress"], [None, "1", None])


@pytest.mark.parametrize("is_async", [False, True])
def test_outcomes_are_asked_for_unless_they_are_not_wanted(is_async: bool) -> None:
    with answering(*[Reply(200, ENDED.encode(), _STREAM)] * 2) as peer:
        for outcomes in (True, False):
            follow(peer.url, is_async, print, outcomes)
    assert peer.calls == [f"GET /jobs/{JOB}/events", f"GET /jobs/{JOB}/events?outcomes=false"]


def test_events_may_be_further_apart_than_the_service_may_be_silent_for_other_calls() -> None:
    late = replace(Reply(200, ENDED.encode(), _STREAM), silence_s=0.6)
    policy = RetryPolicy(tries=1, silence=timedelta(seconds=0.4))
    with answering(late) as peer, connect_to(Access(peer.url), policy) as client:
        assert client.follow(JOB, print).created == 3


@pytest.mark.parametrize("is_async", [False, True])
def test_a_page_in_place_of_the_events_is_reported(is_async: bool) -> None:
    """Else it would be asked for again and again, and nobody would know why nothing happens."""
    page = Reply(200, b"<html>Please sign in.</html>", {"Content-Type": "text/html"})
    with answering(page) as peer, pytest.raises(ServiceUnreachable, match="200: this is not a response of the service"):
        follow(peer.url, is_async, print)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_refusal_in_place_of_the_events_is_reported_as_of_any_other_call(is_async: bool) -> None:
    refusal = problem(404, "There is no such job.")
    with answering(refusal) as peer, pytest.raises(JobUnknown, match=r"404: There is no such job\."):
        follow(peer.url, is_async, print)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_a_proxy_has_compressed_is_read_also_if_it_is_cut_off(is_async: bool) -> None:
    """Read as it comes it would have no event in it, and be asked for again and again."""
    compressed = _STREAM | {"Content-Encoding": "gzip"}
    begun = Reply(200, gzip.compress(BEGUN.encode()), compressed, is_cut_off=True)
    names, sent = followed(is_async, begun, Reply(200, gzip.compress(ENDED.encode()), compressed))
    assert (names, sent) == (["progress", "final"], [None, "1"])
