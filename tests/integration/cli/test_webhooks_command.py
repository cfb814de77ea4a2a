"""`carecase webhooks`: how endpoints stand, what was given up, replay and a test."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.builders import a_new_job
from tests.integration.cli.commands import Carecase
from tests.receiver import SECRET, Receiver, receiving
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.contradictions import OUTBOX_LEASE
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.outbox import DeliveryFailure, DeliveryVerdict, JobEvent, Outbox

_prefixes = count()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def ended(
    servers: Services, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[DeliveryVerdict], JobEvent]:
    """Configures a webhook; gives a function that ends a job, and an attempt to deliver its event in some way."""
    prefix = f"webhookscommand{next(_prefixes)}:"
    monkeypatch.setenv("CARECASE_REDIS_URL", servers.redis_url)
    monkeypatch.setenv("CARECASE_REDIS_PREFIX", prefix)
    (tmp_path / "carecase.toml").write_text(
        f'[webhooks.crm]\nclient = "demo"\nurl = "{receiver.url}"\n[delivery]\nprivate_networks = ["127.0.0.1"]\n'
    )
    monkeypatch.setenv("CARECASE_CONFIG", "carecase.toml")

    def end(verdict: DeliveryVerdict, pause: timedelta = timedelta(0)) -> JobEvent:
        store = servers.store(prefix)
        new = replace(a_new_job(), webhooks="crm:completed")
        store.batches.admit(new, {0: b"p"})
        store.leases.complete(ChunkRef(new.job_id, 0), ChunkResult(b"o", {"created": 1}))
        outbox = Outbox(store.client)
        found: Any = outbox.next_event("crm", "tests", OUTBOX_LEASE)
        assert outbox.note("crm", "tests", found[0], verdict, DeliveryFailure("status 500", kept=10, pause=pause))
        store.client.close()
        event: JobEvent = found[0]
        return event

    return end


def test_how_a_webhook_stands(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECASE_WEBHOOKS_CRM_SECRETS", SECRET)
    ended(DeliveryVerdict.DELIVERED)
    ran = carecase("webhooks", "list")
    assert (ran.status, ran.out) == (0, "crm  client demo  1 delivered, 0 jobs wait, 0 given up  ok\n")
    ended(DeliveryVerdict.DISABLED)
    ran = carecase("webhooks", "list")
    assert (ran.status, "it answered 410; enable it: carecase webhooks replay crm" in ran.out) == (1, True)
    (document,) = json.loads(carecase("webhooks", "list", "--json").out)
    assert (document["waiting"], document["delivered"], document["reason"]) == (1, 1, "status 500")


def test_what_was_given_up_is_counted_until_it_is_replayed(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent]
) -> None:
    for _ in range(2):
        ended(DeliveryVerdict.GIVEN_UP)
    assert "0 delivered, 0 jobs wait, 2 given up" in carecase("webhooks", "list").out
    carecase("webhooks", "replay", "crm")
    assert "0 delivered, 2 jobs wait, 0 given up" in carecase("webhooks", "list").out
    (document,) = json.loads(carecase("webhooks", "list", "--json").out)
    assert (document["client"], document["waiting"], document["undelivered"]) == ("demo", 2, 0)


def test_a_webhook_that_fails_is_told_of_with_the_reason_and_since_when(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent]
) -> None:
    ended(DeliveryVerdict.AGAIN)
    ran = carecase("webhooks", "list")
    assert ran.status == 1
    assert re.fullmatch(
        r"crm  client demo  0 delivered, 1 jobs wait, 0 given up  failing since 20\S+Z: status 500\n", ran.out
    )
    (document,) = json.loads(carecase("webhooks", "list", "--json").out)
    assert document["failingSince"].endswith("Z")
    assert document["disabledAt"] is None, "nobody has to enable it"


def test_a_webhook_without_secrets_here_is_told_of_but_does_not_fail(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent]
) -> None:
    """They may be known to the workers alone."""
    ended(DeliveryVerdict.DELIVERED)
    ran = carecase("webhooks", "list")
    assert (ran.status, ran.out.endswith("  no secrets are known here; a worker needs them\n")) == (0, True)


def test_without_webhooks_it_says_how_one_is_configured(carecase: Carecase) -> None:
    ran = carecase("webhooks", "list")
    text = "no webhook is configured; see [webhooks.NAME] in the configuration\n"
    assert (ran.status, ran.out, ran.err) == (0, "", text)
    assert carecase("webhooks", "list", "--json").out == "[]\n"


def test_what_was_given_up_is_listed_and_replayed(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent]
) -> None:
    event = ended(DeliveryVerdict.GIVEN_UP)
    ran = carecase("webhooks", "failed", "crm")
    assert (ran.status, ran.out.endswith(f"job.completed   {event.webhook_id}\n")) == (0, True)
    assert json.loads(carecase("webhooks", "failed", "crm", "--json").out)["jobId"] == event.job_id
    assert carecase("webhooks", "replay", "crm").out.startswith(
        "1 undelivered event and all queued ones will be delivered now"
    )
    assert carecase("webhooks", "failed", "crm").out == ""


def test_an_event_that_is_replayed_is_kept_for_as_long_as_a_new_one(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent], raw_redis: redis.Redis
) -> None:
    """The receiver may be away again for days, and the event is nowhere else."""
    event = ended(DeliveryVerdict.GIVEN_UP)
    carecase("webhooks", "replay", "crm")
    (queue,) = raw_redis.keys(f"webhookscommand*:*:crm:{event.job_id}")
    assert timedelta(days=13) < timedelta(milliseconds=raw_redis.pttl(queue)) <= timedelta(days=14)


def test_no_more_of_what_was_given_up_is_listed_than_is_asked_for(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent]
) -> None:
    events = [ended(DeliveryVerdict.GIVEN_UP) for _ in range(3)]
    listed = carecase("webhooks", "failed", "crm", "--most", "2").out.splitlines()
    assert len({line.split()[-1] for line in listed} & {event.webhook_id for event in events}) == len(listed) == 2


def test_a_test_is_sent_from_here(
    carecase: Carecase,
    ended: Callable[[DeliveryVerdict], JobEvent],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = carecase("webhooks", "test", "crm")
    assert (ran.status, "CARECASE_WEBHOOKS_CRM_SECRETS" in ran.err) == (2, True)
    monkeypatch.setenv("CARECASE_WEBHOOKS_CRM_SECRETS", SECRET)
    receiver.answers.append((500, {}))
    ends = [(ran.status, ran.out) for ran in (carecase("webhooks", "test", "crm") for _ in range(2))]
    assert ends == [(1, "answered with 500\n"), (0, "answered with 204\n")]
    assert [one.content["type"] for one in receiver.received] == ["webhook.test", "webhook.test"]


def test_a_pause_that_the_receiver_asked_for_is_shown(
    carecase: Carecase, ended: Callable[..., JobEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(DeliveryVerdict.AGAIN, timedelta(minutes=5))
    ran = carecase("webhooks", "list")
    assert (ran.status, "; paused until " in ran.out) == (1, True)
    (document,) = json.loads(carecase("webhooks", "list", "--json").out)
    assert document["pausedUntil"].endswith("Z")
    carecase("webhooks", "replay", "crm")
    assert json.loads(carecase("webhooks", "list", "--json").out)[0]["pausedUntil"] is None


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ((302, {"location": "https://elsewhere.example"}), "Set webhooks.crm.url to the URL that they lead to."),
        ((401, {}), "one of the secrets"),
        ((410, {}), "wants no more events"),
        ((500, {}), "must answer 2xx"),
    ],
)
def test_what_to_do_about_the_response_to_a_test_is_said(
    carecase: Carecase,
    ended: Callable[..., JobEvent],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    advice: str,
) -> None:
    monkeypatch.setenv("CARECASE_WEBHOOKS_CRM_SECRETS", SECRET)
    receiver.answers.append(answer)
    ran = carecase("webhooks", "test", "crm")
    assert (ran.status, ran.out, advice in ran.err) == (1, f"answered with {answer[0]}\n", True)


@pytest.mark.parametrize(
    ("url", "reason", "advice"),
    [
        ("http://127.0.0.1:1/", "connection failed", "Check that the receiver runs at webhooks.crm.url"),
        ("https://10.0.0.1/", "address not permitted", "delivery.private_networks"),
        ("https://hooks.carecase.invalid/", "name not resolved", "Check the host in webhooks.crm.url"),
    ],
)
def test_what_to_do_about_a_test_that_is_not_answered_is_said(
    carecase: Carecase,
    ended: Callable[..., JobEvent],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    reason: str,
    advice: str,
) -> None:
    monkeypatch.setenv("CARECASE_WEBHOOKS_CRM_SECRETS", SECRET)
    monkeypatch.setenv("CARECASE_WEBHOOKS_CRM_URL", url)
    ran = carecase("webhooks", "test", "crm")
    assert (ran.status, ran.out, advice in ran.err) == (1, f"not delivered: {reason}\n", True)


def test_a_webhook_that_does_not_exist_is_reported_with_the_nearest_name(
    carecase: Carecase, ended: Callable[[DeliveryVerdict], JobEvent]
) -> None:
    ran = carecase("webhooks", "replay", "crn")
    assert (ran.status, "there is no such webhook; did you mean crm?" in ran.err) == (2, True)
