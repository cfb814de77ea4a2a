"""Dry runs at a database: they report what a real run would, and leave the database as it was."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.builders import a_case
from tests.integration.targets.databases import run_all
from tests.integration.targets.dry_runs import MOMENT, apply, made, plan_of, rehearse, writer_at
from tests.integration.targets.grounds import GROUNDS, ground_of
from tests.services import Services

from carecase_worker.cases.care_case import FIELDS
from carecase_worker.cases.outcomes import (
    CREATED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    REFUSED,
    UNCHANGED,
    UPDATED,
    WOULD_CREATE,
    Kind,
    Outcome,
    would_update,
)
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.tenants import Tenant


@pytest.fixture(params=[*DIALECTS])
def engine(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> Iterator[Engine]:
    yield from made(GROUNDS[request.param].empty(servers, tmp_path))


def test_a_case_is_reported_as_created_updated_or_unchanged(engine: Engine) -> None:
    apply(engine, a_case(1, case_Reason="A", case_End_Date=MOMENT), a_case(2, case_Score=0.5), user="ann")
    outcomes = rehearse(
        engine,
        a_case(1, case_Reason="B", case_Priority=3),
        a_case(2, case_Score=0.5),
        a_case(3),
        a_case(2, case_Score=5, case_Status="far too long"),
        user="bob",
    )
    assert outcomes[:3] == [would_update(("case_End_Date", "case_Priority", "case_Reason")), UNCHANGED, WOULD_CREATE]
    assert outcomes[3].kind is Kind.INVALID


def test_a_case_that_comes_often_is_compared_with_what_it_was_just_before(engine: Engine) -> None:
    apply(engine, a_case(1, case_Reason="A"))
    reasons = ["A", "B", "B", "C", None, None, "D", "D", "E"]
    outcomes = rehearse(engine, *(a_case(1, case_Reason=reason) for reason in reasons), *[a_case(2)] * 7)
    changed, stayed = would_update(("case_Reason",)), UNCHANGED
    assert outcomes[:9] == [stayed, changed, stayed, changed, changed, stayed, changed, stayed, changed]
    assert outcomes[9:] == [WOULD_CREATE, *[stayed] * 6]


def test_audit_fields_are_changes_only_if_the_item_gives_them(engine: Engine) -> None:
    apply(engine, *(a_case(key, update_User="ann", update_Date=MOMENT) for key in (1, 2, 3, 4)))
    outcomes = rehearse(
        engine,
        a_case(1),
        a_case(2, update_User="ann", update_Date=MOMENT),
        a_case(3, update_User="bob", entry_User="eve", entry_Date="2001-01-01"),
        a_case(4, update_Date="2026-01-02T03:04:05.6789Z", update_User=None),
        user="bob",
        seq=5,
    )
    assert outcomes == [UNCHANGED, UNCHANGED, would_update(("update_User",)), UNCHANGED]


def test_a_later_item_of_the_same_case_sees_the_earlier_one(engine: Engine) -> None:
    outcomes = rehearse(engine, a_case(1, case_ID="a"), a_case(1, case_ID="b"), a_case(1, case_ID="b"))
    assert outcomes == [WOULD_CREATE, would_update(("case_ID",)), UNCHANGED]


def test_what_is_newer_than_the_dry_run_is_no_reason_to_be_superseded(engine: Engine) -> None:
    apply(engine, a_case(1), seq=4_000_000_000_000)
    assert rehearse(engine, a_case(1, case_ID="x")) == [would_update(("case_ID",))]


def test_the_faults_are_those_of_a_real_run(engine: Engine) -> None:
    ground_of(engine).refuse_negative_priorities(engine)
    run_all(engine, *ground_of(engine).fail_over_trigger_and_pass_over_skip)
    apply(engine, a_case(1, carePlan_Key=6))
    cases = [
        a_case(1),
        a_case(2, case_Priority=-1),
        a_case(3, case_Status="trigger"),
        a_case(4, case_Status="skip"),
        a_case(5, carePlan_Key=7),
        a_case(6),
    ]
    outcomes = rehearse(engine, *cases, care_plan=5)
    assert outcomes[0] == OTHER_CARE_PLAN
    assert [one.kind for one in outcomes[1:]] == [
        Kind.CONFLICT,
        Kind.REFUSED,
        Kind.REFUSED,
        Kind.INVALID,
        Kind.WOULD_CREATE,
    ]
    assert [as_if_real(one) for one in outcomes] == apply(engine, *cases, care_plan=5, seq=2)


def test_a_case_that_is_passed_over_each_time_but_the_last_is_refused_until_then(engine: Engine) -> None:
    run_all(engine, *ground_of(engine).fail_over_trigger_and_pass_over_skip)
    cases = [a_case(1, case_Status=status) for status in [*["skip"] * 4, "ok"]]
    assert rehearse(engine, *cases) == [*[REFUSED] * 4, WOULD_CREATE]
    assert apply(engine, *cases) == [*[REFUSED] * 4, CREATED]


def test_of_a_strict_dry_run_with_a_fault_nothing_else_would_be_applied(engine: Engine) -> None:
    apply(engine, a_case(1, carePlan_Key=6))
    outcomes = rehearse(engine, a_case(1), a_case(2), care_plan=5, strict=True)
    assert outcomes == [OTHER_CARE_PLAN, NOT_APPLIED]
    assert rehearse(engine, a_case(2), a_case(3), care_plan=5, strict=True) == [WOULD_CREATE, WOULD_CREATE]


def as_if_real(outcome: Outcome) -> Outcome:
    """The outcome of a real run that one of a dry run stands for."""
    match outcome.kind:
        case Kind.WOULD_CREATE:
            return CREATED
        case Kind.WOULD_UPDATE | Kind.UNCHANGED:
            return UPDATED
        case _:
            return outcome


def a_random_case(dice: Random) -> Any:
    some = {
        "carePlan_Key": (5, 5, 5, 6),
        "case_Status": (None, "OPEN", "OPEN", "trigger", "skip", "far too long"),
        "case_Priority": (None, 1, 2, -1),
        "case_Score": (None, 0.5, 1),
        "case_End_Date": (None, "2026-01-02", MOMENT),
        "update_User": (None, None, "ann"),
        "update_Date": (None, None, MOMENT),
        "do_Not_Contact": (True, False, False, "no"),
    }
    given = {name: dice.choice(values) for name, values in some.items() if dice.random() < 0.6}
    return dice.choice([5, None]) if dice.random() < 0.05 else a_case(dice.randrange(12), **given)


def rows_of(engine: Engine) -> dict[int, dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM care_case")).mappings().all()
    return {row["case_key"]: {field.name: row[field.column] for field in FIELDS} for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_a_dry_run_says_what_the_real_one_then_does(engine: Engine, seed: int) -> None:
    dice = Random(seed)
    ground_of(engine).refuse_negative_priorities(engine)
    run_all(engine, *ground_of(engine).fail_over_trigger_and_pass_over_skip)
    for seq in range(1, 16):
        cases = [a_random_case(dice) for _ in range(dice.randrange(1, 9))]
        how = {"care_plan": dice.choice([None, 5]), "strict": dice.random() < 0.2, "user": dice.choice(["ann", "bob"])}
        outcomes, before = rehearse(engine, *cases, seq=seq, **how), rows_of(engine)
        assert [as_if_real(one) for one in outcomes] == apply(engine, *cases, seq=seq, **how), (seed, seq, cases, how)
        after = rows_of(engine)
        keys = [case["case_Key"] if isinstance(case, dict) else None for case in cases]
        for case, one in zip(cases, outcomes, strict=True):
            if one.kind in (Kind.WOULD_UPDATE, Kind.UNCHANGED) and keys.count(case["case_Key"]) == 1:
                was, is_now = before[case["case_Key"]], after[case["case_Key"]]
                defaulted = {name for name in ("update_Date", "update_User") if case.get(name) is None}
                differ = {name for name in was if was[name] != is_now[name]} - defaulted
                assert set(one.changes or ()) == differ, (seed, seq, case)


def test_a_dry_run_of_nothing_to_write_does_not_ask_the_database(tmp_path: Path) -> None:
    away = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/no/such.file"})))
    plan = plan_of(a_case(1, case_Status="far too long"), dry_run=True)
    assert [one.kind for one in writer_at(away).dry_run(plan)] == [Kind.INVALID]
