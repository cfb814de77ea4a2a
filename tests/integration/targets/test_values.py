"""The database is never the first to refuse a value, and it holds what the oracle says that was sent."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, select, text
from tests.builders import NOW, a_case, a_lease, chunks_of
from tests.integration.targets.engines import engine_at
from tests.integration.targets.grounds import GROUNDS, WAYS, name_of, upsert_of
from tests.integration.targets.sameness import same
from tests.items import FIELDS, VALUES, an_object, around_the_bound, base, changed_members, good_members
from tests.oracle import Sender, judge
from tests.services import Services

from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.cases.outcomes import CREATED, Kind
from carecase_worker.clock import epoch_ms
from carecase_worker.targets.dialects.postgresql.upsert import PostgresUpsert
from carecase_worker.targets.tables import CARE_CASE
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk, to_chunk_result

SENDER = Sender(None, "sender", NOW)
BOUNDS = ChunkLimits(items=1000, size=1 << 22, item_size=1 << 20)
EXTREME_KEYS = (-(2**31), 2**31 - 1, 0)
_numbers = count(1)


@dataclass(frozen=True)
class Target:
    """A target database and a writer into it."""

    engine: Engine
    writer: Writer


@pytest.fixture(scope="module", params=WAYS, ids=name_of)
def target(
    request: pytest.FixtureRequest, servers: Services, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    engine = engine_at(GROUNDS[request.param[0]].empty(servers, tmp_path_factory.mktemp("values")))
    yield Target(engine, Writer(engine, upsert_of(request.param)))
    engine.dispose()


def check(target: Target, items: Sequence[str]) -> None:
    """Apply a batch of items with distinct keys to an empty table, and hold what is there to the oracle."""
    with target.engine.begin() as connection:
        connection.execute(CARE_CASE.delete())
    outcomes = []
    for number, chunk in enumerate(chunks_of(f"[{','.join(items)}]".encode(), BOUNDS)):
        key = LedgerKey(UUID(int=next(_numbers)), number)
        lease = a_lease(key.job_id, number, epoch_ms(NOW))
        plan = plan_chunk(chunk, lease)
        found = target.writer.write(key, plan)
        to_chunk_result(plan, found)
        outcomes += found
    with target.engine.connect() as connection:
        rows = connection.execute(select(*(CARE_CASE.c[field] for field in FIELDS)))
        stored = {row[0]: dict(zip(FIELDS, row, strict=True)) for row in rows}
    for item, outcome in zip(items, outcomes, strict=True):
        want = judge(item, SENDER)
        if not isinstance(want, dict):
            assert outcome.kind is Kind.INVALID, item[:300]
            continue
        assert outcome == CREATED, (item[:300], outcome)
        got = stored.pop(want["case_Key"])
        for field in FIELDS:
            assert same(got[field], want[field], target.engine), (field, got[field], want[field])
    assert not stored


@pytest.mark.parametrize("field", [field for field in FIELDS if field != "case_Key"])
def test_every_telling_value_of_every_field(target: Target, field: str) -> None:
    values = (*VALUES, *around_the_bound(field))
    check(target, [an_object(base(**{"case_Key": str(n), field: value})) for n, value in enumerate(values)])


def test_the_keys_at_the_bounds(target: Target) -> None:
    check(target, [an_object(base(case_Key=str(key))) for key in EXTREME_KEYS])


@settings(max_examples=40)
@given(st.lists(good_members() | changed_members(), min_size=1, max_size=30))
def test_any_batch(target: Target, batch: list[list[tuple[str, str]]]) -> None:
    check(target, [an_object([*members, ("case_Key", str(n))]) for n, members in enumerate(batch)])


def test_a_database_that_keeps_another_encoding_keeps_the_letters(servers: Services) -> None:
    server = create_engine(servers.postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE latin1 ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"))
    server.dispose()
    engine = engine_at(servers.postgres_url.removesuffix("demo") + "latin1")
    target = Target(engine, Writer(engine, PostgresUpsert()))
    check(target, [json.dumps(a_case(1, entry_User="Jürgen Groß"), ensure_ascii=False)])
    with engine.connect() as connection:
        lengths = connection.execute(text("SELECT octet_length(entry_user), length(entry_user) FROM care_case")).one()
    assert lengths == (11, 11), "as LATIN1, a byte a letter"
    engine.dispose()
