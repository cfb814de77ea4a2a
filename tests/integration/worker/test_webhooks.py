"""Events of jobs reach their webhooks: signed, in order, again after a failure, and never where they may not go."""

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

import pytest
from tests.builders import NOW, Even, OffClock, a_new_job
from tests.elapsing import elapse
from tests.ports import free_port
from tests.receiver import SECRET, Receiver, receiving
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import SystemClock
from carecase_worker.intake.health import WebhookSamples
from carecase_worker.settings.sections.webhooks import DeliverySettings, WebhookSettings
from carecase_worker.store.operations.claims import ChunkResult, RetryLater
from carecase_worker.store.outbox import Outbox, webhooks_of
from carecase_worker.worker.webhooks.delivery import Delivery
from carecase_worker.worker.webhooks.messages import test_message as a_test_message
from carecase_worker.worker.webhooks.sending import Reply, Sending, resolve_by_system

_prefixes = count()


@dataclass(frozen=True)
class Scene:
    """A store, a receiver, and a worker's delivery to it."""

    store: Stores
    outbox: Outbox
    receiver: Receiver
    delivery: Delivery

    def job(self) -> str:
        new = replace(a_new_job(), webhooks=webhooks_of(self.delivery.webhooks)["demo"])
        self.store.batches.admit(new, {0: b"p"})
        return new.job_id

    def finish(self, job_id: str) -> None:
        self.store.leases.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"created": 1}))

    def deliver(self) -> None:
        """As the thread of a webhook does."""
        self.delivery.deliver("crm", self.delivery.webhooks["crm"])

    @property
    def delivered(self) -> list[tuple[str, str, int]]:
        return [(one.webhook_id, one.content["type"], one.status) for one in self.receiver.received]


@pytest.fixture
def scene(servers: Services) -> Iterator[Scene]:
    prefix = f"webhooks{next(_prefixes)}:"
    store = servers.store(prefix)
    outbox = Outbox(store.client)
    with receiving() as receiver:
        webhook = WebhookSettings.model_validate({"client": "demo", "url": receiver.url, "secrets": SECRET})
        settings = DeliverySettings.model_validate({"private_networks": ["127.0.0.0/8"], "timeout_seconds": 5})
        sending = Sending(settings, resolve_by_system, ssl.create_default_context())
        random: Any = Even()
        delivery = Delivery(
            outbox, {"crm": webhook}, settings, "", sending, "tests", SystemClock(), random, lambda f: f
        )
        yield Scene(store, outbox, receiver, delivery)
    store.client.close()


def test_an_event_is_delivered_once_and_signed(scene: Scene) -> None:
    job_id = scene.job()
    scene.deliver()
    assert scene.delivered == []
    scene.finish(job_id)
    scene.deliver()
    scene.deliver()
    assert scene.delivered == [(f"{job_id}.1", "job.completed", 204)]
    assert scene.receiver.received[0].content["data"]["created"] == 1


def test_a_worker_delivers_by_itself(scene: Scene) -> None:
    job_id = scene.job()
    scene.finish(job_id)
    scene.delivery.once()
    for thread in list(scene.delivery.busy.values()):
        thread.join(10)
    assert [webhook_id for webhook_id, _, _ in scene.delivered] == [f"{job_id}.1"]
    assert scene.outbox.state("crm").delivered == 1


def test_a_time_slice_ends_between_two_events_and_the_next_one_goes_on(scene: Scene) -> None:
    jobs = [scene.job() for _ in range(3)]
    for job_id in jobs:
        scene.finish(job_id)
    passed = count(0, 14)  # so many seconds from one look at the clock to the next: two events go into a slice
    slow = replace(scene.delivery, seconds=lambda: float(next(passed)))
    slow.deliver("crm", slow.webhooks["crm"])
    assert len(scene.delivered) == 2
    slow.deliver("crm", slow.webhooks["crm"])
    assert sorted(webhook_id for webhook_id, _, _ in scene.delivered) == sorted(f"{job_id}.1" for job_id in jobs)


def scraped(scene: Scene) -> dict[str, float]:
    """The metrics of the webhook that are not 0, without what all their names begin with."""
    samples = list(WebhookSamples(scene.outbox, scene.delivery.webhooks)())
    assert {tuple(sample.labels.items()) for sample in samples} == {(("webhook", "crm"), ("client", "demo"))}
    return {sample.name.removeprefix("carecase_webhook_"): sample.value for sample in samples if sample.value}


def test_the_metrics_of_a_webhook_say_how_its_deliveries_go(servers: Services, scene: Scene) -> None:
    assert scraped(scene) == {}
    scene.finish(scene.job())
    elapse(servers.redis_url, scene.store, timedelta(seconds=100))
    measured = scraped(scene)
    assert 100 <= measured.pop("overdue_seconds") < 200
    assert measured == {"waiting": 1}
    scene.receiver.answers.append((500, {}))
    scene.deliver()
    assert scraped(scene) == {"waiting": 1, "failing": 1, "attempts_failed": 1}
    elapse(servers.redis_url, scene.store, timedelta(seconds=5))
    scene.deliver()
    assert scraped(scene) == {"attempts_failed": 1, "delivered": 1}
    scene.finish(scene.job())
    scene.receiver.answers.append((410, {}))
    scene.deliver()
    assert scraped(scene).items() >= {"disabled": 1, "waiting": 1, "delivered": 1}.items()


def test_an_event_whose_attempts_have_all_failed_is_counted_as_given_up(servers: Services, scene: Scene) -> None:
    """The first one is dropped, since one may be kept for a replay."""
    kept = replace(scene.delivery, settings=scene.delivery.settings.model_copy(update={"max_undelivered": 1}))
    for _ in range(2):
        scene.finish(scene.job())
    while scene.outbox.state("crm").waiting:
        scene.receiver.answers += [(500, {})] * 2
        kept.deliver("crm", kept.webhooks["crm"])
        elapse(servers.redis_url, scene.store, timedelta(days=1))
    measured = scraped(scene)
    assert (measured["given_up"], measured["undelivered"], measured["dropped"]) == (2, 1, 1)


def test_after_a_failure_it_comes_again_with_the_same_id_and_in_order(servers: Services, scene: Scene) -> None:
    job_id = scene.job()
    chunk = ChunkRef(job_id, 0)
    scene.store.leases.claim(chunk, "w")
    scene.store.leases.release([chunk], "w", RetryLater(timedelta(0), timedelta(0)))
    scene.finish(job_id)
    scene.receiver.answers += [(500, {}), (503, {"retry-after": "60"}), (302, {"location": scene.receiver.url})]
    for wait in (5, 60, 300):
        scene.deliver()
        scene.deliver()
        state = scene.outbox.state("crm")
        assert (state.waiting, state.failing_since is not None) == (1, True)
        elapse(servers.redis_url, scene.store, timedelta(seconds=wait))
    scene.deliver()
    first, last = f"{job_id}.1", f"{job_id}.2"
    assert [(webhook_id, status) for webhook_id, _, status in scene.delivered] == [
        (first, 500),
        (first, 503),
        (first, 302),
        (first, 204),
        (last, 204),
    ]
    assert [kind for _, kind, _ in scene.delivered[-2:]] == ["job.waiting", "job.completed"]
    assert scene.outbox.state("crm").reason == ""


def test_what_nobody_delivers_is_overdue(servers: Services, scene: Scene) -> None:
    assert scene.outbox.state("crm").overdue == timedelta(0)
    scene.finish(scene.job())
    elapse(servers.redis_url, scene.store, timedelta(hours=1))
    assert timedelta(hours=1) <= scene.outbox.state("crm").overdue < timedelta(hours=2)
    scene.deliver()
    assert scene.outbox.state("crm").overdue == timedelta(0)


def test_410_disables_it_and_a_replay_enables_it(scene: Scene) -> None:
    job_id = scene.job()
    scene.finish(job_id)
    scene.receiver.answers.append((410, {}))
    scene.deliver()
    scene.deliver()
    assert len(scene.delivered) == 1
    assert scene.outbox.state("crm").disabled_at is not None
    scene.outbox.replay("crm", timedelta(hours=1))
    scene.deliver()
    assert scene.delivered[-1] == (f"{job_id}.1", "job.completed", 204)


def test_two_workers_deliver_nothing_twice(scene: Scene) -> None:
    jobs = [scene.job() for _ in range(20)]
    for job_id in jobs:
        scene.finish(job_id)
    other = replace(scene.delivery, holder="another")
    threads = [threading.Thread(target=scene.deliver)]
    threads += [threading.Thread(target=lambda: other.deliver("crm", other.webhooks["crm"]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    scene.deliver()
    assert sorted(webhook_id for webhook_id, _, _ in scene.delivered) == sorted(f"{job_id}.1" for job_id in jobs)


def test_an_address_that_is_not_permitted_is_not_connected_to(scene: Scene) -> None:
    closed = DeliverySettings.model_validate({})
    message = a_test_message("x", (SECRET,), NOW)
    asked: list[str] = []

    def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    for url in (scene.receiver.url, "https://carecase.example/", "https://[::1]/"):
        reply = Sending(closed, resolve, ssl.create_default_context()).send(url, message, NOW)
        assert reply == Reply(reason="address not permitted")
    assert len(asked) == 3, "each name is resolved once"
    assert scene.delivered == []


def test_a_receiver_that_says_nothing_is_given_up_in_time(scene: Scene) -> None:
    settings = DeliverySettings.model_validate({"private_networks": ["127.0.0.0/8"], "timeout_seconds": 0.3})
    sending = Sending(settings, resolve_by_system, ssl.create_default_context())
    message = a_test_message("x", (SECRET,), NOW)
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert sending.send(f"http://127.0.0.1:{port}/", message, NOW).reason == "timeout"
        assert sending.send(f"https://127.0.0.1:{port}/", message, NOW).reason == "timeout"
    sending = Sending(
        settings.model_copy(update={"timeout_seconds": 60}), resolve_by_system, ssl.create_default_context()
    )
    assert sending.send(f"http://127.0.0.1:{port}/", message, NOW).reason == "connection failed"


def test_a_date_until_which_a_receiver_wants_to_be_left_alone_is_compared_with_that_of_the_attempt(
    scene: Scene,
) -> None:
    scene.finish(scene.job())
    ahead = OffClock(timedelta(minutes=4))  # as if the event had waited for so long
    until = ahead.now() + timedelta(minutes=1)
    scene.receiver.answers.append((503, {"retry-after": format_datetime(until, usegmt=True)}))
    late = replace(scene.delivery, clock=ahead)
    late.deliver("crm", late.webhooks["crm"])
    paused_until = scene.outbox.state("crm").paused_until
    assert paused_until is not None
    assert paused_until - SystemClock().now() < timedelta(minutes=2)
