"""The highest version that a database holds, and whether it holds any case."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from tests.acceptance.system import eventually
from tests.integration.targets.databases import a_database, engine_at, run
from tests.integration.targets.grounds import GROUNDS
from tests.services import Services

from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.contents import holds_cases
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.highest import highest_version
from carecase_worker.targets.schema.migration import upgrade

CASE = (
    "INSERT INTO care_case (case_key, careplan_key, do_not_contact, entry_date, update_date, ingest_version,"
    " entry_version)"
    " VALUES ({}, 1, false, '2026-01-01', '2026-01-01', {}, 1)"
)
WAITING = text("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")


@pytest.fixture(params=[*DIALECTS])
def engine(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> Iterator[Engine]:
    """An engine of a database without tables."""
    with engine_at(GROUNDS[request.param].empty(servers, tmp_path)) as engine:
        yield engine


@pytest.mark.parametrize("patient", [False, True])
def test_it_is_the_highest_of_all_cases_and_0_without_any(engine: Engine, patient: bool) -> None:
    upgrade(engine)
    assert (highest_version(engine, patient), holds_cases(engine)) == (0, False)
    with engine.begin() as connection:
        for key, version in ((1, 5), (2, (1 << 62) + 7), (3, 6)):
            connection.execute(text(CASE.format(key, version)))
    assert (highest_version(engine, patient), holds_cases(engine)) == ((1 << 62) + 7, True)


@pytest.mark.parametrize("ask", [highest_version, holds_cases])
def test_without_tables_the_highest_version_is_a_failure(engine: Engine, ask: object) -> None:
    assert callable(ask)
    with pytest.raises(TargetFailure) as caught:
        ask(engine)
    assert caught.value.cause is not None
    assert (caught.value.kind, caught.value.cause.name) == (FailureKind.AWAY, "schema")


def test_who_is_patient_waits_for_longer_than_a_statement_may_take(servers: Services) -> None:
    url, found = a_database(servers), list[int]()
    other = create_engine(url)
    with (
        engine_at(url, STATEMENT_TIMEOUT_SECONDS="0.3", LOCK_TIMEOUT_SECONDS="60") as engine,
        other.connect() as holder,
    ):
        upgrade(engine)
        run(url, CASE.format(1, 9))
        holder.execute(text("LOCK TABLE care_case"))
        with pytest.raises(TargetFailure, match="57014") as caught:
            highest_version(engine)
        assert caught.value.kind is FailureKind.TOO_SLOW
        asking = threading.Thread(target=lambda: found.append(highest_version(engine, patient=True)))
        asking.start()
        eventually(lambda: holder.scalar(WAITING), 60, "it waits for the lock")
        asking.join(1)
        assert holder.scalar(WAITING), "it still waits, though a statement may not"
        holder.rollback()
        asking.join(60)
    other.dispose()
    assert found == [9]
