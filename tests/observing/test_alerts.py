"""Alerts of a system that fails for real: the right one fires, once, and resolves; the dashboard shows all of it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import redis
from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.integration.store.configuring import configured
from tests.observing.conftest import Alerts
from tests.observing.panels import shown, without_data
from tests.observing.watch import BACKLOG, DEPLOYED, Watch
from tests.pausing import frozen
from tests.receiver import SECRET

VARIABLES = {
    "CARECASE_WORKER_STUCK_AFTER_SECONDS": "600",
    "CARECASE_WEBHOOKS_CRM_CLIENT": "other",
    "CARECASE_WEBHOOKS_CRM_URL": "https://receiver.invalid/hook",
    "CARECASE_WEBHOOKS_CRM_SECRETS": SECRET,
}
"""A worker whose pool is frozen would end by itself after half a minute, and be started again. A webhook has metrics,
also if its client sends nothing."""
RUNBOOKS = DEPLOYED.parents[1] / "docs" / "operations" / "runbooks"


def test_a_database_that_hangs_is_reported_once(system: System, watch: Watch, alerts: Alerts, first_key: int) -> None:
    with frozen(system.pid("postgresql")):
        job = system.send([a_case(first_key)])
        watch.waits_for("firing", "DatabaseAway", "demo")
        # a scrape that fails meanwhile leaves a gap
        (breaker,) = eventually(lambda: watch.query('carecase_circuit_breaker_open{database="demo"}'))
        assert breaker["value"][1] == "1"
    assert system.final(job)["created"] == 1
    alerts.once(("DatabaseAway", "demo"))


def test_workers_that_are_gone_and_a_backlog_that_fills_up_are_reported_once_each(
    system: System, watch: Watch, alerts: Alerts, first_key: int
) -> None:
    with frozen(*system.stack["processes"]["worker"]):
        jobs = [system.send([a_case(first_key + n)]) for n in range(BACKLOG - 1)]
        watch.waits_for("firing", "NoWorkers")
        watch.waits_for("firing", "BacklogNearLimit", "demo")
    for job in jobs:
        system.final(job)
    alerts.once(("NoWorkers", ""), ("BacklogNearLimit", "demo"))


def test_work_that_nobody_takes_is_reported_once(system: System, watch: Watch, alerts: Alerts, first_key: int) -> None:
    """The worker's main process goes on and is seen; its pool does not. The half minute is as it is deployed."""
    with frozen(*system.pool()):
        job = system.send([a_case(first_key)])
        watch.waits_for("firing", "WorkStuck", "demo")
    assert system.final(job)["created"] == 1
    alerts.once(("WorkStuck", "demo"), depends_on='{__name__=~"up|carecase_store_up|carecase_workers"}')


def test_a_schema_that_is_behind_is_reported_once(system: System, watch: Watch, alerts: Alerts, first_key: int) -> None:
    system.execute("ALTER TABLE care_case RENAME COLUMN case_id TO case_name")
    try:
        job = system.send([a_case(first_key)])
        watch.waits_for("firing", "SchemaBehind", "demo")
    finally:
        system.execute("ALTER TABLE care_case RENAME COLUMN case_name TO case_id")
    assert system.final(job)["created"] == 1
    alerts.once(("SchemaBehind", "demo"))


def test_a_redis_that_takes_no_writes_is_reported_once(system: System, watch: Watch, alerts: Alerts) -> None:
    with takes_no_writes(system):
        watch.waits_for("firing", "StoreDown")
        with system.client() as client:
            assert client.put("/care-cases-batch", json=[a_case(1)]).status_code == 503
    alerts.once(("StoreDown", ""), depends_on="up")


def test_intakes_that_cannot_be_scraped_are_reported_once(system: System, watch: Watch, alerts: Alerts) -> None:
    """Every scrape fails while they are frozen, which is one break: those are counted that come after it."""
    with frozen(*system.stack["processes"]["intake"]):
        watch.waits_for("firing", "NoIntakes")
        assert watch.query("carecase_store_up") == []
    replace(alerts, began=time.time()).once(("NoIntakes", ""))


@pytest.mark.usefixtures("alerts")
def test_every_panel_of_the_dashboard_has_data(system: System, watch: Watch, first_key: int) -> None:
    with takes_no_writes(system):
        watch.waits_for("firing", "StoreDown")
    began = time.time()

    def has_data() -> bool:
        send_good_and_bad(system, first_key)  # a rate is one of two samples, so it takes more than one time
        return not without_data(shown(watch, began - 60, time.time(), 5))

    eventually(has_data, what="every query has data")


def test_every_query_of_a_runbook_has_data(system: System, watch: Watch, first_key: int) -> None:
    send_good_and_bad(system, first_key)
    pages = "\n".join(page.read_text() for page in RUNBOOKS.glob("*.md"))
    queries = set(re.findall(r"`((?:\w+\()*carecase_[^`]*|\w[^`]*\(carecase_[^`]*)`", pages))
    assert len(queries) > 15
    eventually(lambda: all(watch.query(query) for query in queries), what="every query has data")


@contextmanager
def takes_no_writes(system: System) -> Iterator[None]:
    """Have Redis wait for a replica that is not there."""
    url = system.stack["redis"]["url"]
    with redis.Redis.from_url(url) as server, configured(server, min_replicas_to_write="1"):
        yield


def send_good_and_bad(system: System, first_key: int) -> None:
    system.final(system.send([a_case(first_key + n) for n in range(3000)]))
    system.final(system.send([{"case_Key": 1, "case_ID": 5}]))
