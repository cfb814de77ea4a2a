"""Turns of webhooks in a worker: how many at once, who comes first, and what a failure holds up."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.builders import Even, a_new_job
from tests.receiver import SECRET
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import SystemClock
from carecase_worker.settings.sections.webhooks import DeliverySettings, WebhookSettings
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.outbox import Outbox, webhooks_of
from carecase_worker.worker.webhooks.delivery import Delivery
from carecase_worker.worker.webhooks.sending import Reply

TAKEN, REFUSED, SILENT = Reply(204), Reply(500), Reply(reason="timeout")
_prefixes = count()


@dataclass
class Posted:
    """A sender that notes the URLs, waits until it may answer, and gives every attempt the same reply."""

    reply: Reply = TAKEN
    urls: list[str] = field(default_factory=list)
    allowed: Event = field(default_factory=Event)
    sent: Event = field(default_factory=Event)

    def send(self, url: str, *_: Any) -> Reply:
        self.urls.append(url.removeprefix("https://"))
        self.sent.set()
        assert self.allowed.wait(60)
        return self.reply


@dataclass(frozen=True)
class Scene:
    """A store with jobs that are done, and the webhooks of their client; a webhook's URL has its name."""

    store: Stores
    outbox: Outbox
    posted: Posted

    def delivery(self, *names: str, at_once: int = 16, jobs: int = 1) -> Delivery:
        members = {"client": "demo", "secrets": SECRET}
        webhooks = {name: WebhookSettings.model_validate({**members, "url": f"https://{name}"}) for name in names}
        for _ in range(jobs):
            new = replace(a_new_job(), webhooks=webhooks_of(webhooks)["demo"])
            self.store.batches.admit(new, {0: b"p"})
            self.store.leases.complete(ChunkRef(new.job_id, 0), ChunkResult(b"o", {"created": 1}))
        settings, posted, random = DeliverySettings(max_endpoints_at_once=at_once), _any(self.posted), _any(Even())
        return Delivery(self.outbox, webhooks, settings, "", posted, "tests", SystemClock(), random, lambda step: step)


def _any(value: object) -> Any:
    return value


@pytest.fixture
def make(servers: Services) -> Iterator[Callable[[Posted], Scene]]:
    """Return a function that makes a scene with a sender."""
    prefix = f"turns{next(_prefixes)}:"
    store = servers.store(prefix)
    outbox = Outbox(store.client)
    yield lambda posted: Scene(store, outbox, posted)
    store.client.close()


def ended(delivery: Delivery) -> None:
    for thread in delivery.busy.values():
        thread.join(60)
        assert not thread.is_alive()


def test_no_more_endpoints_than_the_setting_says_have_a_turn_at_once(make: Callable[[Posted], Scene]) -> None:
    posted = Posted()
    delivery = make(posted).delivery("a", "b", "c", at_once=2)
    delivery.once()
    delivery.once()
    assert sorted(delivery.busy) == ["a", "b"]
    posted.allowed.set()
    ended(delivery)
    delivery.once()
    ended(delivery)
    assert sorted(posted.urls) == ["a", "b", "c"]


def test_a_webhook_that_has_its_turn_gets_no_second_one_meanwhile(make: Callable[[Posted], Scene]) -> None:
    posted = Posted()
    delivery = make(posted).delivery("a", jobs=2)
    delivery.once()
    assert posted.sent.wait(60)
    (turn,) = delivery.busy.values()
    delivery.once()
    assert list(delivery.busy.values()) == [turn]
    posted.allowed.set()
    ended(delivery)
    assert posted.urls == ["a", "a"], "one for each job"


def test_one_that_fails_again_and_again_does_not_keep_others_from_their_turn(make: Callable[[Posted], Scene]) -> None:
    posted = Posted(SILENT)
    posted.allowed.set()
    delivery = make(posted).delivery("a", "b", at_once=1, jobs=9)
    for _ in range(4):
        delivery.once()
        ended(delivery)
    assert posted.urls == ["a", "b", "a", "b"]


def test_a_receiver_that_asks_for_a_pause_is_not_asked_by_the_next_event(make: Callable[[Posted], Scene]) -> None:
    """One event after the other would be some hundred requests a second to a receiver that has asked for fewer."""
    posted = Posted(Reply(429, retry_after=timedelta(minutes=1)))
    posted.allowed.set()
    delivery = make(posted).delivery("a", "b", jobs=3)
    for _ in range(3):
        delivery.once()
        ended(delivery)
    assert sorted(posted.urls) == ["a", "b"]
    assert delivery.outbox.state("a").paused_until is not None
    assert delivery.outbox.replay("a", timedelta(hours=1)) == 0
    delivery.once()
    ended(delivery)
    assert sorted(posted.urls) == ["a", "a", "b"]


def test_an_attempt_that_takes_all_its_time_is_noted(make: Callable[[Posted], Scene]) -> None:
    """Its lease lasts longer than the attempt may; else a silent receiver would be asked for ever without a pause."""
    posted = Posted(SILENT)
    scene = make(posted)
    delivery = scene.delivery("a")
    delivery = replace(delivery, settings=DeliverySettings.model_validate({"timeout_seconds": 1}))
    delivery.once()
    assert posted.sent.wait(60)
    time.sleep(1.2)  # the receiver says nothing for longer than an attempt may take
    posted.allowed.set()
    ended(delivery)
    state = scene.outbox.state("a")
    assert (state.attempts_failed, state.failing_since is not None) == (1, True)


@pytest.mark.parametrize(("reply", "attempts"), [(SILENT, 1), (REFUSED, 3)])
def test_who_answers_nothing_is_asked_once_a_turn_and_who_refuses_gets_the_next_event(
    make: Callable[[Posted], Scene], reply: Reply, attempts: int
) -> None:
    posted = Posted(reply)
    posted.allowed.set()
    delivery = make(posted).delivery("a", jobs=3)
    with capture_logs() as logs:
        delivery.deliver("a", delivery.webhooks["a"])
    assert posted.urls == ["a"] * attempts
    reason = reply.reason or "status 500"
    events = [(one["event"], one["client"], one["reason"]) for one in logs]
    assert events == [("webhook failed", "demo", reason)] * attempts
    assert delivery.outbox.state("a").attempts_failed == attempts


def test_a_webhook_without_secrets_waits(make: Callable[[Posted], Scene]) -> None:
    posted = Posted()
    delivery = make(posted).delivery("a")
    unsigned = {name: one.model_copy(update={"secrets": None}) for name, one in delivery.webhooks.items()}
    replace(delivery, webhooks=unsigned).once()
    assert (delivery.busy, posted.urls) == ({}, [])
