"""The events of a job as the client reads them: from pieces of any size, cut off and resumed."""

from datetime import timedelta

import pytest

from carecase_worker.client.events import EventReader, JobEvent, OutcomeRun

JOB = b'{"jobId":"j","state":"%s","database":"demo","total":3,"processed":%d,"created":0,"updated":0,"superseded":0,'
JOB += b'"failed":0,"cancelled":0,"links":{"self":"/jobs/j","result":"/jobs/j/result"}}'
STREAM = b"retry: 1500\nid: none\n\nevent: progress\ndata: " + JOB % (b"running", 0)
STREAM += (
    b'\n\nid: 0\r\nevent: outcomes\r\ndata: {"runs":[{"index":0,"count":3,"status":201,"body":"Created"}]}\r\n\r\n'
)
STREAM += (
    b": keep-alive\nevent: heartbeat\ndata: {}\n\nid: end\nevent: final\ndata: " + JOB % (b"completed", 3) + b"\n\n"
)


def read(*pieces: bytes) -> tuple[EventReader, list[JobEvent]]:
    events: list[JobEvent] = []
    reader = EventReader(events.append)
    for piece in pieces:
        reader.feed(piece)
    return reader, events


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_events_are_read_from_pieces_of_any_size(size: int) -> None:
    reader, events = read(*(STREAM[start : start + size] for start in range(0, len(STREAM), size)))
    assert [event.name for event in events] == ["progress", "outcomes", "final"]
    assert events[1].runs == (OutcomeRun(0, 3, 201, "Created"),)
    assert (reader.last_id, reader.again) == ("end", timedelta(seconds=1.5))
    assert reader.final is not None
    assert (reader.final.state, reader.broken) == ("completed", False)


def test_an_event_that_was_cut_off_is_no_event_and_is_resumed_before() -> None:
    cut = STREAM.index(b"id: end") + 20
    reader, events = read(STREAM[:cut])
    assert (reader.last_id, reader.final, len(events)) == ("0", None, 2)
    reader.resume()
    reader.feed(STREAM[STREAM.index(b"id: end") :])
    assert [event.name for event in events] == ["progress", "outcomes", "final"]


def test_the_id_of_an_event_that_was_cut_off_is_none_to_resume_after() -> None:
    reader, events = read(STREAM[: STREAM.index(b"id: end")], b"id: end\nevent: final\n")
    reader.resume()
    reader.feed(b"event: heartbeat\ndata: {}\n\n")
    assert (reader.last_id, len(events)) == ("0", 2), "the service would leave the last event out"


def test_what_is_not_of_the_service_is_reported() -> None:
    assert read(b"event: progress\ndata: {}\n\n")[0].broken
    assert not read(b"event: more\ndata: {}\n\nwhatever: x\n\n")[0].broken
