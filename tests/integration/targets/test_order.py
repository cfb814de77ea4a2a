"""Whatever batches come, and however they are run, each answer and each case is the contract's, on every dialect.

The reference knows the contract only. It does every run on a dict; what is accepted without a care plan's guard must
end, too, as if it had been applied in order of acceptance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from tests.builders import NOW, a_batch, a_case, a_lease
from tests.integration.targets.databases import run
from tests.integration.targets.engines import engine_at
from tests.integration.targets.grounds import GROUNDS, WAYS, name_of, upsert_of
from tests.integration.targets.sameness import same
from tests.oracle import TABLE
from tests.reference import Answer, Case, HeldCase, Reference, Run
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.clock import epoch_ms
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.tables import CARE_CASE, INGEST_LEDGER
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk, plan_item_by_item

FIELDS = tuple(field["field"] for field in TABLE)
FIRST_SEQ = epoch_ms(NOW)
LATE = 999_990
"""The place of a chunk's first item at the end of a batch that is as large as one may be."""
EARLY, LATER = "2026-01-01T00:00:00+00:00", "2026-02-02T22:22:22.222222+02:00"


@dataclass(frozen=True)
class Target:
    """A target database that refuses some rows, and a writer into it."""

    engine: Engine
    writer: Writer

    def clear(self) -> None:
        with self.engine.begin() as connection:
            for table in (CARE_CASE, INGEST_LEDGER):
                connection.execute(table.delete())

    def forget(self, one: Run) -> None:
        """Take a chunk out of the ledger, as a backup does that is older than the cases."""
        with self.engine.begin() as connection:
            connection.execute(INGEST_LEDGER.delete().where(INGEST_LEDGER.c.job_id == UUID(int=one.seq)))

    def stored(self) -> dict[int, HeldCase]:
        """Every case as it is there; versions as the places that they stand for."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(*CARE_CASE.c)).mappings().all()
        return {
            row[CARE_CASE.c["case_Key"]]: HeldCase(
                {name: row[CARE_CASE.c[name]] for name in FIELDS},
                divmod(row[CARE_CASE.c["ingest_version"]], 1 << 20),
                divmod(row[CARE_CASE.c["entry_version"]], 1 << 20),
            )
            for row in rows
        }

    def noted(self) -> set[tuple[int, int]]:
        """Every chunk that the ledger knows."""
        columns = (INGEST_LEDGER.c.job_id, INGEST_LEDGER.c.chunk_no)
        with self.engine.connect() as connection:
            return {(job_id.int, chunk_no) for job_id, chunk_no in connection.execute(select(*columns))}


@pytest.fixture(scope="module", params=WAYS, ids=name_of)
def target(
    request: pytest.FixtureRequest, servers: Services, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """A database with a constraint on priorities, and triggers that fail over a status and pass over another."""
    ground = GROUNDS[request.param[0]]
    url = ground.empty(servers, tmp_path_factory.mktemp("order"))
    engine = engine_at(url)
    ground.refuse_negative_priorities(engine)
    run(url, *ground.fail_over_trigger_and_pass_over_skip)
    yield Target(engine, Writer(engine, upsert_of(request.param)))
    engine.dispose()


def is_passed_over(row: Case) -> bool:
    """Tell whether those databases neither write a row nor say so."""
    return bool(row["case_Status"] == "skip")


def refusal(row: Case) -> Answer | None:
    """What those databases refuse; triggers come before constraints."""
    if is_passed_over(row):
        return None
    if row["case_Status"] == "trigger":
        return 500, ""
    return (409, "case_Priority: ") if row["case_Priority"] == -1 else None


def answer_of(outcome: Outcome) -> Answer:
    """An outcome as the reference gives it."""
    bodies = {Kind.CREATED: outcome.body, Kind.UPDATED: outcome.body, Kind.SUPERSEDED: outcome.body}
    bodies[Kind.CONFLICT] = outcome.body.partition(": ")[0] + ": "
    return outcome.kind.status, bodies.get(outcome.kind, "")


CASES = st.builds(
    a_case,
    st.integers(1, 4),
    carePlan_Key=st.sampled_from([5, 5, 5, 6]),
    case_ID=st.sampled_from(["a", "b", "", None]),
    case_Status=st.sampled_from([*["ok"] * 10, None, "trigger", "skip", "too long for it"]),
    case_Priority=st.sampled_from([*[1] * 10, None, -1]),
    do_Not_Contact=st.booleans(),
)
AUDIT = st.fixed_dictionaries(
    {},
    optional={name: st.sampled_from([EARLY, LATER, None]) for name in ("entry_Date", "update_Date")}
    | {name: st.sampled_from(["ann", "bob", None]) for name in ("entry_User", "update_User")},
)
ITEMS = st.builds(lambda case, audit: {**case, **audit}, CASES, AUDIT)
CHUNKS = st.lists(ITEMS, min_size=1, max_size=6)
CROWDED = st.lists(st.builds(lambda item, key: {**item, "case_Key": key}, ITEMS, st.integers(1, 2)), max_size=24)
"""Items that name one case again and again."""


@st.composite
def jobs(draw: st.DrawFn, seq: int) -> list[Run]:
    """A batch of one chunk or two, the second at the end of what a batch may hold."""
    strict, guarded = draw(st.booleans()), draw(st.booleans())
    firsts = [draw(st.sampled_from([0, LATE]))] if strict else draw(st.sampled_from([[0], [LATE], [0, LATE]]))
    user, accepted_at = draw(st.sampled_from(["sender", "other"])), NOW + timedelta(seconds=seq)
    care_plan = 5 if guarded else None
    return [
        Run(FIRST_SEQ + seq, first, draw(CHUNKS), user, accepted_at, care_plan=care_plan, strict=strict)
        for first in firsts
    ]


@st.composite
def executions(draw: st.DrawFn) -> list[tuple[Run, int]]:
    """Batches; the order in which they are run: any, and some of them twice; and how: the bits of a small number."""
    accepted = [chunk for seq in range(draw(st.integers(1, 4))) for chunk in draw(jobs(seq))]
    again = draw(st.lists(st.sampled_from(accepted), max_size=3))
    order = draw(st.permutations(accepted + again))
    return [(one, draw(st.integers(0, 15))) for one in order]


ONE, OTHER, PASSED_OVER = (
    a_case(key, case_Status=status, case_Priority=1) for key, status in ((1, "ok"), (2, "ok"), (2, "skip"))
)
PASSED_OVER_BESIDE_SUPERSEDED = [
    (Run(FIRST_SEQ + seq, 0, cases, "sender", NOW, care_plan=None, strict=False), 0)
    for seq, cases in ((1, [ONE]), (0, [ONE, ONE, OTHER, PASSED_OVER]))
]
"""A batch whose last items are written together: one holds a newer version, one an earlier item of this batch."""


def planned(one: Run, item_by_item: bool) -> tuple[LedgerKey, WritePlan]:
    """What the ledger knows a chunk by, and its plan."""
    key = LedgerKey(UUID(int=one.seq), 0 if one.first == 0 else 1)
    lease = a_lease(
        key.job_id,
        key.chunk_no,
        one.seq,
        care_plan=one.care_plan,
        user=one.user,
        accepted_at=one.accepted_at,
        strict=one.strict,
    )
    chunk = Chunk(one.first, len(one.cases), a_batch(*map(dict, one.cases)))
    return key, plan_item_by_item(chunk, lease) if item_by_item else plan_chunk(chunk, lease)


def execute(target: Target, one: Run, how: int) -> list[Answer]:
    """Run a chunk: whole or item by item, quickly or for finding slow cases, rehearsed before that or not."""
    key, plan = planned(one, item_by_item=bool(how & 1))
    plan = replace(plan, attempts=how >> 1 & 1)
    if how & 4:
        target.writer.rehearse(plan)
    return [answer_of(outcome) for outcome in target.writer.write(key, plan)]


def check_held(target: Target, expected: dict[int, HeldCase]) -> None:
    stored = target.stored()
    assert stored.keys() == expected.keys()
    for key, want in expected.items():
        assert (stored[key].version, stored[key].entered) == (want.version, want.entered), key
        for name in FIELDS:
            got: Any = stored[key].row[name]
            assert same(got, want.row[name], target.engine), (key, name, got, want.row[name])


def commutes(one: Run) -> bool:
    """Tell whether a chunk may come before or after any other: no guard, and nothing that is passed over unseen."""
    return one.care_plan is None and not any(map(is_passed_over, one.cases))


def in_order(runs: Sequence[Run]) -> dict[int, HeldCase]:
    """The cases once these chunks have been applied in order of acceptance."""
    reference = Reference(refusal, is_passed_over)
    for one in sorted(runs, key=lambda run: run.name):
        reference.apply(one)
    return reference.cases


# a failure is told as it was found: to make it smaller takes minutes, on real databases
@settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(executions())
@example(PASSED_OVER_BESIDE_SUPERSEDED)
def test_every_answer_and_every_case_is_the_contracts(target: Target, plan: list[tuple[Run, int]]) -> None:
    target.clear()
    reference = Reference(refusal, is_passed_over)
    for one, how in plan:
        if how & 8:
            target.forget(one)
            reference.forget(one)
        assert execute(target, one, how) == reference.apply(one), (one, how)
    check_held(target, reference.cases)
    assert target.noted() == {(seq, 0 if first == 0 else 1) for seq, first in reference.done}
    if all(commutes(one) for one, _ in plan):
        assert reference.cases == in_order([one for one, _ in plan])


@st.composite
def crowded(draw: st.DrawFn) -> list[tuple[Run, int]]:
    """Batches, in any order, that name a case often: most of them of valid cases, the others with some refused ones."""
    taken = []
    for seq in draw(st.permutations(range(draw(st.integers(1, 3))))):
        cases = draw(CROWDED.filter(len))
        if draw(st.booleans()):
            cases = [{**case, "case_Status": "ok", "case_Priority": 1} for case in cases]
        care_plan, strict = draw(st.sampled_from([5, None])), draw(st.sampled_from([False, False, True]))
        one = Run(FIRST_SEQ + seq, 0, cases, "sender", NOW + timedelta(seconds=seq), care_plan=care_plan, strict=strict)
        taken.append((one, draw(st.integers(0, 7))))
    return taken


def often(seq: int, *statuses: str) -> tuple[Run, int]:
    """A batch that names one case again and again."""
    cases = [a_case(1, case_Status=status, case_ID=str(place)) for place, status in enumerate(statuses)]
    return Run(FIRST_SEQ + seq, 0, cases, f"sender {seq}", NOW, care_plan=None, strict=False), 0


@settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(crowded())
@example([often(0, *["ok"] * 4, "skip", "ok")]).via("among those written in turn, one is passed over")
@example([often(0, *["skip"] * 4, "ok")]).via("among those written in turn, one is passed over before any is there")
@example([often(1, "ok"), often(0, *["trigger"] * 3, "ok", "ok")]).via("those written in turn are the first accepted")
def test_a_case_that_comes_often_in_a_batch_is_answered_each_time(target: Target, plan: list[tuple[Run, int]]) -> None:
    target.clear()
    reference = Reference(refusal, is_passed_over)
    for one, how in plan:
        assert execute(target, one, how) == reference.apply(one), (one, how)
    check_held(target, reference.cases)


@st.composite
def groups(draw: st.DrawFn) -> list[list[Run]]:
    """Small chunks of different batches, taken together, guarded alike in a group; some come in a second group, too."""
    accepted = [draw(jobs(seq))[0] for seq in range(draw(st.integers(2, 7)))]
    again = draw(st.lists(st.sampled_from(accepted), max_size=2))
    order = draw(st.permutations(accepted + again))
    alike = [[one for one in order if (one.care_plan is None) == free] for free in (True, False)]
    sizes = st.integers(1, 5)
    taken = []
    for some in alike:
        while some:
            size = draw(sizes)
            taken.append(list({one.name: one for one in some[:size]}.values()))
            some = some[size:]
    return taken


@settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(groups())
def test_a_chunk_in_a_group_is_answered_as_if_it_had_come_alone(target: Target, taken: list[list[Run]]) -> None:
    target.clear()
    reference = Reference(refusal, is_passed_over)
    for group in taken:
        members = [planned(one, item_by_item=False) for one in group]
        written = list(zip(group, members, target.writer.write_group(members), strict=True))
        together = [(one, outcomes) for one, _, outcomes in written if outcomes is not None]
        for one, outcome in sorted(together, key=lambda pair: pair[0].name):
            assert [*map(answer_of, outcome)] == reference.apply(one), (group, one)
        for one, (key, plan), outcomes in written:
            if outcomes is None:
                alone = target.writer.write(key, plan)
                assert [*map(answer_of, alone)] == reference.apply(one), (group, one)
    check_held(target, reference.cases)
    assert target.noted() == {(seq, 0 if first == 0 else 1) for seq, first in reference.done}
