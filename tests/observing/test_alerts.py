"""Alerts of a system that fails for real: the right one fires, once, and resolves when all is well again."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import redis
from tests.acceptance.system import System, eventually, running
from tests.builders import a_case
from tests.observing.watch import Message, Watch, watching

FACTOR = 60
BACKLOG = 10
CONFIG = f"""
[intake]
rate_per_second = 0
[jobs]
max_backlog_jobs = {BACKLOG}
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    place = tmp_path_factory.mktemp("alerts")
    (place / "small.toml").write_text(CONFIG)
    with running(place, "--config", "small.toml") as started:
        yield started


@pytest.fixture(scope="module")
def watch(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    targets = {"carecase-intake": [system.stack["intake"]["url"]]}
    with watching(tmp_path_factory.mktemp("watch"), targets, FACTOR) as started:
        yield started


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes and their children for a while; they stay there."""
    trees = [one for pid in pids for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    for one in trees:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in trees:
            one.send_signal(signal.SIGCONT)


@pytest.fixture(autouse=True)
def told(watch: Watch) -> Iterator[list[Message]]:
    """What was told in this test; before it and after it, all is well."""
    eventually(lambda: not watch.firing(), what="no alert fires")
    watch.messages.clear()
    yield watch.messages
    eventually(lambda: not watch.firing(), what="no alert fires any more")


def counted(told: list[Message]) -> Counter[tuple[str, str, str]]:
    return Counter((one.alert, one.database, one.status) for one in told)


def test_a_database_that_hangs_is_told_of_once(
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


def test_workers_that_are_gone_and_a_backlog_that_fills_up_are_told_of_once_each(
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


def test_a_redis_that_takes_no_writes_is_told_of_once(system: System, watch: Watch, told: list[Message]) -> None:
    with redis.Redis.from_url(system.stack["redis"]["url"]) as server:
        server.config_set("min-replicas-to-write", 1)
        try:
            watch.waits_for("firing", "StoreDown")
        finally:
            server.config_set("min-replicas-to-write", 0)
    watch.waits_for("resolved", "StoreDown")
    assert counted(told) == {("StoreDown", "", "firing"): 1, ("StoreDown", "", "resolved"): 1}
