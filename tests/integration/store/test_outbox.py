"""The outbox of webhooks: compared with the model after each test, with every key."""

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.webhooks import MOST_WAITING

BOTH = "audit:cancelled crm:completed,waiting"


def test_the_end_of_a_job_is_put_there_with_it(beside: Beside) -> None:
    beside.admitted("a", webhooks=BOTH)
    beside.claim("a", 0, "w")
    assert beside.deliver("crm", "p") == []
    beside.complete("a", 0, "w", counts={"updated": 1})
    job, event, attempts = beside.deliver("crm", "p")
    assert (job, event.split("|")[:2], attempts) == ("a", ["1", "completed"], 0)
    assert event.split("|")[3:] == ["demo", "1", "0", "1", "0", "0", "0"]
    assert beside.deliver("audit", "p") == [], "it wants cancelled jobs only"
    beside.complete("a", 0, "w")  # a repeated call tells nothing more
    assert beside.delivered("crm", "p", ["a", event]) == "noted"
    assert beside.deliver("crm", "p") == []


def test_a_cancelled_job_is_reported_once_it_is_final(beside: Beside) -> None:
    beside.admitted("a", webhooks=BOTH)
    beside.cancel("a")
    assert beside.deliver("audit", "p") == []
    beside.claim("a", 0, "w")
    beside.complete("a", 0, "w", counts={"cancelled": 1})
    assert beside.deliver("audit", "p")[1].split("|")[1] == "cancelled"
    assert beside.deliver("crm", "p") == []


def test_without_webhooks_nothing_is_put_there(beside: Beside) -> None:
    beside.admitted("a")
    beside.claim("a", 0, "w")
    beside.release("a", 0, "w")
    beside.complete("a", 0)
    assert beside.deliver("crm", "p") == []


def test_a_job_that_waits_is_reported_once_for_each_time_and_in_order(beside: Beside) -> None:
    beside.admitted("a", (1, 1), webhooks=BOTH)
    for _ in range(2):  # its database is away, and away again
        for _ in range(2):
            beside.claim("a", 0, "w")
            beside.release("a", 0, "w", open_circuit_ms=0)
        beside.claim("a", 0, "w")
        beside.complete("a", 0, "w")
        beside.claim("a", 1, "w")
        beside.release("a", 1, "w", open_circuit_ms=0)
    beside.complete("a", 1)
    seen = []
    while found := beside.deliver("crm", "p"):
        seen.append(found[1].split("|")[:2])
        beside.delivered("crm", "p", found)
    assert seen == [["1", "waiting"], ["2", "waiting"], ["3", "completed"]]


def test_one_job_cannot_fill_the_outbox(beside: Beside) -> None:
    beside.admitted("a", (1,) * 30, webhooks=BOTH)
    for number in range(30):
        beside.claim("a", number, "w")
        beside.release("a", number, "w", open_circuit_ms=0)
        beside.complete("a", number)
    assert len(beside.model.webhooks.held["crm"].queues["a"][0]) == MOST_WAITING + 1


def test_one_worker_at_a_time_delivers_to_a_webhook(beside: Beside) -> None:
    for job in "ab":
        beside.admitted(job, webhooks=BOTH)
        beside.complete(job, 0)
    first = beside.deliver("crm", "p", 1_000)
    assert beside.deliver("crm", "q", 1_000) == []
    beside.elapse(1_000)  # it takes too long
    assert beside.deliver("crm", "q", 1_000) == first
    assert beside.delivered("crm", "p", first) == "lost"
    assert beside.delivered("crm", "q", first) == "noted"
    assert beside.delivered("crm", "q", first) == "lost"


def test_an_event_that_fails_is_tried_again_and_delays_its_own_job_only(beside: Beside) -> None:
    for job in "ab":
        beside.admitted(job, webhooks=BOTH)
        beside.complete(job, 0)
    failing = beside.deliver("crm", "p")
    beside.delivered("crm", "p", failing, verdict="again")
    other = beside.deliver("crm", "q")
    assert other[0] == "b"
    beside.delivered("crm", "q", other)
    assert beside.deliver("crm", "q") == []
    beside.elapse(5_000)
    assert beside.deliver("crm", "p") == [*failing[:2], 1]


def test_an_overloaded_webhook_gets_nothing_at_all_until_its_pause_is_over(beside: Beside) -> None:
    for job in "ab":
        beside.admitted(job, webhooks=BOTH)
        beside.complete(job, 0)
    found = beside.deliver("crm", "p")
    beside.delivered("crm", "p", found, verdict="again", pause_ms=60_000)
    assert beside.deliver("crm", "p") == []
    beside.elapse(60_000)
    other = beside.deliver("crm", "q")
    beside.delivered("crm", "q", other, verdict="again", pause_ms=60_000)
    beside.replay("crm")
    assert beside.deliver("crm", "p") != [], "whoever replays does not want to wait"


def test_what_is_given_up_can_be_replayed_and_is_bounded(beside: Beside) -> None:
    for job in "abc":
        beside.admitted(job, webhooks=BOTH)
        beside.complete(job, 0)
        found = beside.deliver("crm", "p")
        beside.delivered("crm", "p", found, verdict="given_up")
        beside.elapse(1)
    assert beside.deliver("crm", "p") == []
    assert beside.replay("crm") == 2
    assert beside.replay("crm") == 0
    assert [beside.deliver("crm", "p")[0]] == ["b"]


def test_a_webhook_that_wants_no_more_is_left_alone_until_it_is_enabled(beside: Beside) -> None:
    beside.admitted("a", webhooks=BOTH)
    beside.complete("a", 0)
    found = beside.deliver("crm", "p")
    beside.delivered("crm", "p", found, verdict="disabled")
    beside.admitted("b", webhooks=BOTH)
    beside.complete("b", 0)
    assert beside.deliver("crm", "p") == []
    assert beside.replay("crm") == 0
    assert beside.deliver("crm", "p") == found


@pytest.mark.parametrize("ms", [2 * 3_600_000 - 1, 2 * 3_600_000])
def test_an_event_is_kept_as_long_as_the_record_of_its_job(beside: Beside, ms: int) -> None:
    beside.admitted("a", webhooks=BOTH)
    beside.complete("a", 0)
    beside.elapse(ms)
    assert bool(beside.deliver("crm", "p")) == (ms < 2 * 3_600_000)


def test_what_nobody_delivers_leaves_the_outbox_after_its_events(beside: Beside) -> None:
    """A webhook that is disabled, or that no worker knows, does not fill Redis."""
    for job in ("a", "b", "c"):
        beside.admitted(job, webhooks=BOTH)
        beside.complete(job, 0)
    beside.elapse(2 * beside.limits.retention_ms + 1)
    for job in ("d", "e"):
        beside.admitted(job, webhooks=BOTH)
        beside.complete(job, 0)
    assert sorted(beside.model.webhooks.held["crm"].due) == ["d", "e"]
