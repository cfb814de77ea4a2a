"""The alert of a client that cannot be called back, for real: it fires, once, and resolves."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.observing.conftest import Alerts
from tests.observing.watch import FACTOR, Watch, hurried_rules, watched_system
from tests.receiver import SECRET, Receiver, receiving

from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.outbox import Outbox
from carecase_worker.store.redis.client import StoreClient


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def watched(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Watch]]:
    """A system that calls the receiver for one client, and its watch."""
    variables = {
        "CARECASE_WEBHOOKS_CRM_CLIENT": "demo",
        "CARECASE_WEBHOOKS_CRM_URL": receiver.url,
        "CARECASE_WEBHOOKS_CRM_SECRETS": SECRET,
        "CARECASE_DELIVERY_PRIVATE_NETWORKS": "127.0.0.0/8",
    }
    with watched_system(tmp_path_factory.mktemp("watched"), hurried_rules(FACTOR), **variables) as started:
        yield started


@pytest.mark.parametrize("status", [500, 410], ids=["it fails", "it wants no more"])
def test_a_webhook_that_takes_no_events_is_reported_once(
    system: System, watch: Watch, alerts: Alerts, receiver: Receiver, first_key: int, status: int
) -> None:
    receiver.answers = [(status, {})] * 100
    system.final(system.send([a_case(first_key)]))
    watch.waits_for("firing", "WebhookFailing")
    receiver.answers = []
    client = StoreClient(RedisSettings.model_validate({"url": system.stack["redis"]["url"]}))
    outbox = Outbox(client)
    outbox.replay("crm", timedelta(days=1))
    eventually(lambda: not outbox.state("crm").waiting, what="what was kept is delivered")
    client.close()
    alerts.once(("WebhookFailing", ""))
