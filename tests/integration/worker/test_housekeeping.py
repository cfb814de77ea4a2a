"""Housekeeping of a worker's main process: purging, settling and what is repeated; one database holds no other up."""

import gc
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.integration.targets.databases import a_database, ask, engine_at, run, tenant
from tests.integration.targets.grounds import GROUNDS
from tests.services import Services
from tests.stores import Stores

from carecase_worker.store.workers.intervals import Intervals
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.worker.housekeeping import Purge, Repeated, Settle
from carecase_worker.worker.schema_watch import SchemaWatch

Elapse = Callable[[timedelta], None]
KEEP = timedelta(days=8)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def database(servers: Services) -> Iterator[Engine]:
    """A database of the test's own."""
    with engine_at(a_database(servers)) as engine:
        upgrade(engine)
        yield engine


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def add_old_row(engine: Engine) -> None:
    values = f"('{uuid4()}', 0, 'o', now() - interval '9 days')"
    run(url_of(engine), f"INSERT INTO ingest_ledger (job_id, chunk_no, outcome, applied_at) VALUES {values}")


def test_of_all_workers_one_purges_a_ledger_once_an_hour(store: Stores, database: Engine, elapse: Elapse) -> None:
    workers = [Purge(Intervals(store.client), {"demo": tenant(url_of(database))}, KEEP) for _ in range(2)]
    count = "SELECT count(*) FROM ingest_ledger"
    for waited, left in ((timedelta(0), 0), (59 * MINUTE, 1), (MINUTE, 0)):
        elapse(waited)
        add_old_row(database)
        for worker in workers:
            worker.once()
        assert ask(database, count) == left, waited


@pytest.fixture
def kept_garbage() -> Iterator[None]:
    """Nothing is closed because nobody holds it any more."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("kept_garbage")
def test_a_purge_a_settling_and_a_look_at_a_schema_leave_no_connection_behind(store: Stores, database: Engine) -> None:
    tenants, connections = {"demo": tenant(url_of(database))}, GROUNDS["postgresql"].connections
    Purge(Intervals(store.client), tenants, KEEP).once()
    eventually(lambda: connections(database, "") == 0, what="that of the purge is closed")
    settle = Settle(store.leases, tenants, guarded=lambda step: step)
    settle.once()
    settle.busy["demo"].join(120)
    eventually(lambda: connections(database, "") == 0, what="that of the settling is closed")
    SchemaWatch(tenants).once()
    eventually(lambda: connections(database, "") == 0, what="that of the look is closed")


def test_a_database_that_is_away_keeps_no_other_from_being_purged_or_settled(
    store: Stores, database: Engine, tmp_path: Path
) -> None:
    away = tenant(f"sqlite:///{tmp_path / 'nowhere' / 'cases.sqlite'}")
    tenants = {"away": away, "demo": tenant(url_of(database))}
    add_old_row(database)
    with capture_logs() as logs:
        Purge(Intervals(store.client), tenants, KEEP).once()
        settle = Settle(store.leases, tenants, guarded=lambda step: step)
        settle.once()
        for thread in settle.busy.values():
            thread.join(120)
    assert ask(database, "SELECT count(*) FROM ingest_ledger") == 0
    assert store.leases.unsettled(["away", "demo"]) == ["away"]
    lines = {(line["log_level"], line["event"], line["database"]) for line in logs}
    assert lines == {
        ("warning", "ledger not purged", "away"),
        ("info", "ledger purged", "demo"),
        ("warning", "order of acceptance not settled yet", "away"),
    }
    assert all("its file does not exist" in line["reason"] for line in logs if line["log_level"] == "warning")


def test_a_database_that_hangs_is_asked_by_one_thread_until_it_answers(
    store: Stores, database: Engine, elapse: Elapse
) -> None:
    settle = Settle(
        store.leases, {"demo": tenant(url_of(database), LOCK_TIMEOUT_SECONDS="60")}, guarded=lambda step: step
    )
    with engine_at(url_of(database)) as other, other.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE care_case")
        settle.once()
        asking = settle.busy["demo"]
        settle.once()
        assert settle.busy["demo"] is asking
        assert store.leases.unsettled(["demo"]) == ["demo"]
    asking.join(120)
    assert store.leases.unsettled(["demo"]) == []
    settle.once()
    assert settle.busy["demo"] is asking, "it is settled for good"


def test_a_database_that_was_away_is_asked_again(store: Stores, tmp_path: Path) -> None:
    path = tmp_path / "cases.sqlite"
    settle = Settle(store.leases, {"demo": tenant(f"sqlite:///{path}")}, guarded=lambda step: step)
    settle.once()
    settle.busy["demo"].join(120)
    path.touch()
    with engine_at(f"sqlite:///{path}") as engine:
        upgrade(engine)
    settle.once()
    settle.busy["demo"].join(120)
    assert store.leases.unsettled(["demo"]) == []


def test_what_is_repeated_goes_on_until_it_is_stopped_and_then_signs_off() -> None:
    calls: list[str] = []
    thrice = threading.Event()

    def once() -> None:
        calls.append("once")
        if calls.count("once") == 3:
            thrice.set()

    repeated = Repeated(once, lambda: calls.append("last"), 0.01)
    repeated.start()
    assert thrice.wait(120)
    repeated.stop()
    eventually(lambda: "last" in calls)
    assert calls == ["once"] * (len(calls) - 1) + ["last"]


def test_what_is_repeated_seldom_is_stopped_at_once() -> None:
    calls: list[str] = []
    began = threading.Event()
    repeated = Repeated(began.set, lambda: calls.append("last"), 86_400)
    repeated.start()
    assert began.wait(120)
    repeated.stop()
    eventually(lambda: calls == ["last"])


def test_what_was_never_started_can_be_stopped() -> None:
    Repeated(lambda: None, lambda: None, 1).stop()
