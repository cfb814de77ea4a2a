"""Alerts of a system that fails for real: the right one fires, once, and resolves; the dashboard shows all of it."""

import time
from collections import Counter

import pytest
import redis
from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.observing.panels import shown, without_data
from tests.observing.watch import BACKLOG, Message, Watch, frozen


def counted(told: list[Message]) -> Counter[tuple[str, str, str]]:
    """Count the messages by alert, but for scrapes that an intake of a busy machine answers too late."""
    return Counter((one.alert, one.database, one.status) for one in told if one.alert != "NoIntakes")


def test_a_database_that_hangs_is_reported_once(
    system: System, watch: Watch, told: list[Message], first_key: int
) -> None:
    with frozen(system.pid("postgresql")):
        job = system.send([a_case(first_key)])
        watch.waits_for("firing", "DatabaseAway", "demo")
        (breaker,) = watch.query('carecase_circuit_breaker_open{database="demo"}')
        assert breaker["value"][1] == "1"
    assert system.final(job)["created"] == 1
    watch.waits_for("resolved", "DatabaseAway", "demo")
    assert counted(told) == {("DatabaseAway", "demo", "firing"): 1, ("DatabaseAway", "demo", "resolved"): 1}


def test_workers_that_are_gone_and_a_backlog_that_fills_up_are_reported_once_each(
    system: System, watch: Watch, told: list[Message], first_key: int
) -> None:
    with frozen(*system.stack["processes"]["worker"]):
        jobs = [system.send([a_case(first_key + n)]) for n in range(BACKLOG - 1)]
        watch.waits_for("firing", "NoWorkers")
        watch.waits_for("firing", "BacklogNearLimit", "demo")
    for job in jobs:
        system.final(job)
    watch.waits_for("resolved", "NoWorkers")
    watch.waits_for("resolved", "BacklogNearLimit", "demo")
    alerts = (("NoWorkers", ""), ("BacklogNearLimit", "demo"))
    assert counted(told) == {(*alert, status): 1 for alert in alerts for status in ("firing", "resolved")}


def test_a_redis_that_takes_no_writes_is_reported_once(system: System, watch: Watch, told: list[Message]) -> None:
    with redis.Redis.from_url(system.stack["redis"]["url"]) as server:
        server.config_set("min-replicas-to-write", 1)
        try:
            watch.waits_for("firing", "StoreDown")
            with system.client() as client:
                assert client.put("/care-cases-batch", json=[a_case(1)]).status_code == 503
        finally:
            server.config_set("min-replicas-to-write", 0)
    watch.waits_for("resolved", "StoreDown")
    assert counted(told) == {("StoreDown", "", "firing"): 1, ("StoreDown", "", "resolved"): 1}


@pytest.mark.usefixtures("told")
def test_every_panel_of_the_dashboard_has_data(system: System, watch: Watch, first_key: int) -> None:
    """All of it is of what happened in this test and before it."""
    system.final(system.send([a_case(first_key + n) for n in range(3000)]))
    system.final(system.send([{"case_Key": 1, "case_ID": 5}]))
    eventually(lambda: not without_data(shown(watch, time.time() - 120, time.time(), 5)), what="every query has data")
