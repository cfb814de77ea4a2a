"""A Redis that is new to a database, empty or behind it: what is accepted from now on is newer than what is there."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.targets.grounds import GROUNDS
from tests.integration.worker.attempts import SteppedTargets, attempt
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import pack, unpack_done
from carecase_worker.cases.outcomes import CANCELLED, CREATED, SUPERSEDED, UPDATED
from carecase_worker.clock import epoch_ms
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import RetryLater
from carecase_worker.targets.case_versions import PLACE_BITS
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.tenants import Tenant
from carecase_worker.worker.housekeeping import Settle

LONG_AGO = "'2020-01-01 00:00:00.000000'"
TOMORROW = epoch_ms(datetime.now(UTC) + timedelta(days=1))


@pytest.fixture(params=[*DIALECTS])
def targets(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> SteppedTargets:
    """A database whose case 1 is from tomorrow: from a Redis whose clock was wrong, and which was lost."""
    made = SteppedTargets(GROUNDS[request.param].empty(servers, tmp_path))
    made.prepare()
    with made.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO care_case (case_key, careplan_key, do_not_contact, entry_date, entry_user, update_date,"
            f" update_user, ingest_version, entry_version) VALUES (1, 5, false, {LONG_AGO}, 'ann', {LONG_AGO}, 'ann',"
            f" {TOMORROW << PLACE_BITS}, 7)"
        )
    return made


def admit(store: Stores, *cases: dict[str, object]) -> ChunkRef:
    """A job of one chunk."""
    (chunk,) = chunks_of(a_batch(*cases))
    (ref,) = store.batches.admit(a_new_job(total=len(cases)), {0: pack(chunk)}).to_notify
    return ref


def outcomes(store: Stores, ref: ChunkRef) -> list[object]:
    (packed,) = store.jobs.outcomes(ref.job_id, [0])
    assert packed is not None
    return list(unpack_done(packed).outcomes)


def case_id(targets: SteppedTargets) -> str:
    return str(targets.rows("SELECT case_id FROM care_case WHERE case_key = 1")[0][0])


def test_a_batch_is_newer_than_what_the_database_holds(store: Stores, targets: SteppedTargets) -> None:
    first = admit(store, a_case(1, case_ID="first"), a_case(2))
    second = admit(store, a_case(1, case_ID="second"))
    assert attempt(store, targets, second, "worker").verdict == "kept"
    assert attempt(store, targets, first, "worker").verdict == "kept"
    assert (outcomes(store, first), outcomes(store, second)) == ([SUPERSEDED, CREATED], [UPDATED])
    assert case_id(targets) == "second"
    third = admit(store, a_case(1, case_ID="third"))
    attempt(store, targets, third, "worker")
    assert (outcomes(store, third), case_id(targets)) == ([UPDATED], "third")
    versions = targets.rows("SELECT ingest_version FROM care_case ORDER BY case_key")
    assert [version >> PLACE_BITS for (version,) in versions] == [
        store.jobs.job(ref.job_id).seq for ref in (third, first)
    ]


def test_audit_dates_are_the_time_of_acceptance_however_far_ahead_the_order_is(
    store: Stores, targets: SteppedTargets
) -> None:
    before = datetime.now(UTC)
    ref = admit(store, a_case(2))
    attempt(store, targets, ref, "worker")
    accepted = store.jobs.job(ref.job_id).submitted_at
    assert before <= accepted <= datetime.now(UTC)
    moment = accepted.strftime("%Y-%m-%d %H:%M:%S.%f")
    assert targets.rows(
        f"SELECT count(*) FROM care_case WHERE entry_date = '{moment}' AND update_date = '{moment}'"
    ) == [(1,)]


def test_a_database_that_is_away_is_waited_for_as_ever(store: Stores, targets: SteppedTargets, tmp_path: Path) -> None:
    ref = admit(store, a_case(1))
    nowhere = SteppedTargets(f"sqlite:///{tmp_path}/no/such/place.sqlite")
    assert attempt(store, nowhere, ref, "worker").verdict == "released: away"
    assert store.jobs.job(ref.job_id).state is State.WAITING
    assert store.leases.unsettled(["demo"]) == ["demo"]


@dataclass
class LookedAt(SteppedTargets):
    """A database to whose jobs something happens while it is looked at."""

    meanwhile: Callable[[], object] = lambda: None

    def writer(self, database: str) -> Any:
        self.meanwhile()
        return super().writer(database)


def test_a_database_that_is_left_alone_meanwhile_is_waited_for(
    store: Stores, elapse: Callable[[timedelta], None], tmp_path: Path
) -> None:
    ref, other = admit(store, a_case(1)), admit(store, a_case(2))
    store.leases.claim(other, "somebody else")
    pause = RetryLater(timedelta(minutes=1), open_circuit=timedelta(minutes=1))
    targets = LookedAt(
        f"sqlite:///{tmp_path}/cases.sqlite", meanwhile=lambda: store.leases.release([other], "somebody else", pause)
    )
    targets.prepare()
    assert attempt(store, targets, ref, "worker").verdict == "circuit_open"
    assert targets.rows("SELECT case_key FROM care_case") == []
    targets.meanwhile = lambda: None
    elapse(timedelta(minutes=2))
    assert attempt(store, targets, ref, "worker").verdict == "kept"
    assert outcomes(store, ref) == [CREATED]


def test_what_is_cancelled_while_the_database_is_looked_at_is_not_applied(store: Stores, tmp_path: Path) -> None:
    ref = admit(store, a_case(1))
    targets = LookedAt(f"sqlite:///{tmp_path}/cases.sqlite", meanwhile=lambda: store.jobs.cancel(ref.job_id))
    targets.prepare()
    attempt(store, targets, ref, "worker")
    assert outcomes(store, ref) == [CANCELLED]
    assert targets.rows("SELECT case_key FROM care_case") == []


def test_housekeeping_looks_before_anything_is_claimed_and_has_no_deadline(
    store: Stores, targets: SteppedTargets
) -> None:
    url = targets.engine.url.render_as_string(hide_password=False)
    hasty = DatabaseSettings.model_validate({"url": url, "statement_timeout_seconds": 1})
    if targets.engine.dialect.name == "postgresql":
        with targets.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE care_case RENAME TO slowly")
            connection.exec_driver_sql(
                "CREATE VIEW care_case AS SELECT slowly.* FROM slowly, LATERAL (SELECT pg_sleep(1.5)) AS sleep"
            )
    ref = admit(store, a_case(1))
    settle = Settle(store.leases, {"demo": Tenant("demo", hasty)}, guarded=lambda step: step)
    try:
        settle.once()
        settle.once()
        settle.busy["demo"].join(120)
    finally:
        if targets.engine.dialect.name == "postgresql":
            with targets.engine.begin() as connection:
                connection.exec_driver_sql("DROP VIEW care_case")
                connection.exec_driver_sql("ALTER TABLE slowly RENAME TO care_case")
    assert store.leases.unsettled(["demo"]) == []
    assert store.jobs.job(ref.job_id).seq > TOMORROW
