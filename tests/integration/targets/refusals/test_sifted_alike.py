"""Whatever a database refuses, the outcomes are the same whether it sifts the cases itself or a worker halves them."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import a_database, refusing, run
from tests.integration.targets.engines import engine_at
from tests.integration.targets.grounds import WAYS, ground_of, upsert_of
from tests.integration.targets.refusals.spoiling import STATES
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk

STORED = [a_case(key, case_Priority=1, case_Status="ok", carePlan_Key=6 if key % 3 else 5) for key in range(0, 40, 2)]
STATUSES = [*["ok"] * 20, "skip", *STATES[::4]]


@pytest.fixture(scope="module")
def engine(servers: Services) -> Iterator[Engine]:
    """A database with two checks, a foreign key, a unique constraint, and a trigger that raises what a case names."""
    url = a_database(servers)
    engine = engine_at(url)
    ground_of(engine).refuse_negative_priorities(engine)
    run(
        url,
        "CREATE TABLE priorities (priority int PRIMARY KEY)",
        "INSERT INTO priorities VALUES (1)",
        "ALTER TABLE care_case ADD FOREIGN KEY (case_priority) REFERENCES priorities DEFERRABLE INITIALLY DEFERRED",
        "ALTER TABLE care_case ADD UNIQUE (case_id), ADD CONSTRAINT score_check CHECK (case_score >= 0)",
        *refusing(
            "IF NEW.case_status = 'skip' THEN RETURN NULL; END IF;"
            " IF NEW.case_status <> 'ok' THEN"
            " RAISE 'not case %', NEW.case_key USING ERRCODE = NEW.case_status; END IF;",
            when="true",
        ),
    )
    yield engine
    engine.dispose()


ITEMS = st.builds(
    a_case,
    st.integers(0, 60),
    carePlan_Key=st.sampled_from([5, 5, 6]),
    case_ID=st.sampled_from([None, None, None, "one", "other"]),
    case_Status=st.sampled_from(STATUSES),
    case_Priority=st.sampled_from([1, 1, 1, 2, -1]),
    case_Score=st.sampled_from([1, 1, 1, -1]),
)
CHUNKS = st.lists(ITEMS, min_size=20, max_size=60)


def becomes(engine: Engine, way: tuple[str, str], items: list[dict[str, object]], how: int) -> tuple[object, ...]:
    """What becomes of a chunk and of the cases: as a dry run or a real one, strict or not, searching for slow cases or
    not, before or after what is stored."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM care_case")
    write(engine, way, STORED, 0, 2)
    outcomes = write(engine, way, items, how, 3 if how & 8 else 1)
    with engine.connect() as connection:
        cases = connection.exec_driver_sql("SELECT care_case::text FROM care_case ORDER BY case_key").scalars().all()
    return outcomes, cases


def write(
    engine: Engine, way: tuple[str, str], items: list[dict[str, object]], how: int, seq: int
) -> list[Outcome] | FailureKind:
    dry_run, strict = bool(how & 1), bool(how & 2)
    lease = a_lease(uuid4(), seq=seq, care_plan=5 if how & 16 else None, dry_run=dry_run, strict=strict and not dry_run)
    plan = replace(plan_chunk(Chunk(0, len(items), a_batch(*items)), lease), attempts=how >> 2 & 1)
    writer = Writer(engine, upsert_of(way))
    try:
        return writer.dry_run(plan) if dry_run else writer.write(LedgerKey(uuid4(), 0), plan)
    except TargetFailure as failure:
        return failure.kind


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(CHUNKS, st.integers(0, 31))
def test_many_refused_items_have_the_outcomes_of_halves(
    engine: Engine, items: list[dict[str, object]], how: int
) -> None:
    first, second = (way for way in WAYS if way[0] == "postgresql")
    assert becomes(engine, first, items, how) == becomes(engine, second, items, how)
