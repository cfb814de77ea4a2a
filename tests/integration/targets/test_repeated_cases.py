"""A case that a batch names thousands of times costs a database a few statements a chunk, whatever they are."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.engines import engine_at
from tests.integration.targets.grounds import GROUNDS, ground_of
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.targets.dialects.postgresql.statements import RESULTS, SENT
from carecase_worker.targets.dialects.registry import DIALECTS, dialect_of
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk

ORDINARY = {"each once": (1000, 1), "two of each": (500, 2), "four of each": (250, 4)}
"""Keys, and how often each comes. Such chunks take a statement for each time, and one for the ledger."""
FEW = 16
"""As many waves as there may be, with what may have to be explained of each, and the ledger."""


@pytest.fixture(params=[*DIALECTS])
def engine(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> Iterator[Engine]:
    engine = engine_at(GROUNDS[request.param].empty(servers, tmp_path))
    yield engine
    engine.dispose()


def statements(engine: Engine, *cases: dict[str, object], seq: int = 1, dry_run: bool = False) -> int:
    """Write a chunk; the number of statements that the database had for it."""
    sent: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        sent.append(statement)

    writer, key = Writer(engine, dialect_of(engine).writing.upsert), LedgerKey(uuid4(), 0)
    lease = a_lease(key.job_id, seq=seq, care_plan=5, dry_run=dry_run)
    plan = plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease)
    with engine.connect():  # the session is set up before
        pass
    event.listen(engine, "before_cursor_execute", note)
    try:
        if dry_run:
            writer.dry_run(plan)
        else:
            writer.write(key, plan)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return sum(not one.startswith("BEGIN") for one in sent)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_chunk_takes_a_statement_for_each_time_that_a_key_comes(engine: Engine, name: str) -> None:
    keys, times = ORDINARY[name]
    assert (
        statements(engine, *(a_case(key) for key in range(keys)), *[a_case(key) for key in range(keys)] * (times - 1))
        == times + 1
    )


@pytest.mark.parametrize("keys", [1, 20])
def test_a_thousand_times_the_same_case_are_a_few_statements(engine: Engine, keys: int) -> None:
    cases = [a_case(place % keys, case_ID=str(place)) for place in range(1000)]
    assert statements(engine, *cases, seq=2) <= FEW
    assert statements(engine, *cases, seq=1) <= FEW, "superseded"
    others = [{**case, "carePlan_Key": 5} for case in cases]
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE care_case SET careplan_key = 6")
    assert statements(engine, *others, seq=3) <= FEW, "of another care plan"


def test_a_refused_one_among_them_is_found_by_halves(engine: Engine) -> None:
    ground_of(engine).refuse_negative_priorities(engine)
    cases = [a_case(1, case_Priority=-1 if place == 700 else 1) for place in range(1000)]
    assert statements(engine, *cases) < 250


def test_refused_ones_cost_no_more_than_as_many_of_other_cases(engine: Engine) -> None:
    ground_of(engine).refuse_negative_priorities(engine)
    alike, others = ([a_case(key, case_Priority=-1) for key in keys] for keys in ([1] * 100, range(100)))
    assert statements(engine, *alike) <= statements(engine, *others)


def test_a_dry_run_of_them_is_a_few_statements_on_postgresql(servers: Services, tmp_path: Path) -> None:
    engine = engine_at(GROUNDS["postgresql"].empty(servers, tmp_path))
    statements(engine, a_case(1))
    assert statements(engine, *(a_case(1, case_ID=str(place)) for place in range(1000)), dry_run=True) <= 2 * FEW
    engine.dispose()


def test_a_session_on_postgresql_keeps_nothing_of_them(servers: Services, tmp_path: Path) -> None:
    """Behind a pooler, it is somebody else's next; and a chunk of megabytes would stay in its memory."""
    engine = engine_at(GROUNDS["postgresql"].empty(servers, tmp_path))
    assert statements(engine, *[a_case(1, case_ID="a member's")] * 9) <= FEW
    with engine.connect() as connection:
        for setting in (SENT, RESULTS):
            left = connection.exec_driver_sql("SELECT current_setting(%(name)s, true)", {"name": setting}).scalar()
            assert left == "", "it was there, and has gone with its transaction"
    engine.dispose()
