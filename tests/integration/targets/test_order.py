"""However batches are run, the database ends as if they had been applied in order of acceptance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, select
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.test_conformance import engine_at
from tests.services import Services

from carecase_worker.cases.outcome import CREATED, SUPERSEDED, UPDATED
from carecase_worker.jobs.chunks import Chunk
from carecase_worker.targets.schema import create_database
from carecase_worker.targets.tables import CARE_CASE, METADATA
from carecase_worker.targets.upserts import upsert_for
from carecase_worker.targets.writer import LedgerKey, Writer
from carecase_worker.worker.apply import plan_chunk

KEYS = st.integers(1, 4)


@dataclass(frozen=True)
class Run:
    """One execution of one chunk: `seq` is the batch's place in the order of acceptance."""

    seq: int
    keys: tuple[int, ...]


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def engine(request: pytest.FixtureRequest, servers: Services) -> Iterator[Engine]:
    if request.param == "postgresql":
        url = servers.postgres_url.removesuffix("demo") + "in_order"
        create_database(servers.postgres_url, "in_order")
        engine = engine_at(url)
    else:
        engine = create_engine("sqlite://")
        METADATA.create_all(engine)
    yield engine
    engine.dispose()


def cases_of(run: Run) -> list[dict[str, Any]]:
    return [a_case(key, case_ID=f"{run.seq}.{n}", entry_User=f"{run.seq}.{n}") for n, key in enumerate(run.keys)]


@st.composite
def executions(draw: st.DrawFn) -> tuple[list[Run], list[Run]]:
    """Batches in order of acceptance, and the order in which they are run: any, and some of them twice."""
    batches = [
        Run(seq, tuple(keys))
        for seq, keys in enumerate(
            draw(st.lists(st.lists(KEYS, min_size=1, max_size=5), min_size=1, max_size=5)), start=1
        )
    ]
    again = draw(st.lists(st.sampled_from(batches), max_size=4))
    return batches, draw(st.permutations(batches + again))


@settings(max_examples=200, deadline=None)
@given(executions())
def test_the_end_is_that_of_a_replay_in_order(engine: Engine, plan: tuple[list[Run], list[Run]]) -> None:
    batches, runs = plan
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(table.delete())
    writer = Writer(engine, upsert_for(engine.dialect.name))
    answers: dict[int, list[Any]] = {}
    for run in runs:
        lease = a_lease(UUID(int=run.seq), seq=run.seq)
        chunk = Chunk(0, len(run.keys), a_batch(*cases_of(run)))
        outcomes = writer.write(LedgerKey(UUID(int=run.seq), 0), plan_chunk(chunk, lease))
        assert answers.setdefault(run.seq, outcomes) == outcomes, "a second run answers as the first"

    replay: dict[int, tuple[str, str]] = {}
    for batch in batches:
        for case in cases_of(batch):
            entered = replay.get(case["case_Key"], ("", case["entry_User"]))[1]
            replay[case["case_Key"]] = (case["case_ID"], entered)
    columns = (CARE_CASE.c["case_Key"], CARE_CASE.c["case_ID"], CARE_CASE.c["entry_User"])
    with engine.connect() as connection:
        held = {key: (case_id, user) for key, case_id, user in connection.execute(select(*columns))}
    assert held == replay
    told = [outcome for outcomes in answers.values() for outcome in outcomes]
    assert told.count(CREATED) == len(replay)
    assert set(told) <= {CREATED, UPDATED, SUPERSEDED}
