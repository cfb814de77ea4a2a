"""A database that refuses one item and answers: that item gets its own outcome, and all others are applied."""

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs
from tests.builders import a_case
from tests.integration.targets.databases import BAD, raising, refusing
from tests.integration.targets.refusals.spoiling import ALL_BUT_THE_BAD, CASES, STATES, apply, run, spoiled

from carecase_worker.cases.outcomes import CREATED, NOT_APPLIED, REFUSED, UPDATED
from carecase_worker.targets.dialects.postgresql.upsert import PostgresUpsert
from carecase_worker.targets.dialects.upsert import ComparableUpsert


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_is_raised_over_one_item_is_that_items_own(
    engine: Engine, upsert: ComparableUpsert, state: str
) -> None:
    with spoiled(engine, *refusing(raising(state))):
        assert apply(engine, upsert, *CASES) == ALL_BUT_THE_BAD
        assert apply(engine, upsert, *CASES[:7], *CASES[8:], seq=2) == [UPDATED] * 9


def test_the_log_says_how_many_items_were_refused_with_which_code(engine: Engine) -> None:
    with spoiled(engine, *refusing(raising("ZZ999"))), capture_logs() as logs:
        assert apply(engine, PostgresUpsert(), *CASES, database="demo") == ALL_BUT_THE_BAD
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("items refused by the target database", "warning")
    assert (line["database"], line["chunk_no"], line["count"], line["reason"]) == ("demo", 0, 1, "ZZ999: 1")
    assert "job_id" in line


TOO_LARGE_A_SORT = (
    "SET LOCAL temp_file_limit = '64kB'; SET LOCAL work_mem = '64kB';"
    "PERFORM count(*) FROM (SELECT n FROM generate_series(1, 100000) AS n ORDER BY random()) AS sorted;"
)
"""Statements that meet the limit of a session's temporary files: 53400."""


def test_an_item_over_which_a_trigger_exceeds_the_limit_of_a_query_is_refused_alone(
    engine: Engine, upsert: ComparableUpsert
) -> None:
    with spoiled(engine, *refusing(TOO_LARGE_A_SORT)):
        assert apply(engine, upsert, *CASES) == ALL_BUT_THE_BAD


@pytest.mark.parametrize("state", STATES)
def test_an_item_that_is_alone_in_its_batch_is_refused_alike(engine: Engine, state: str) -> None:
    with spoiled(engine, *refusing(raising(state))):
        assert apply(engine, PostgresUpsert(), CASES[BAD]) == [REFUSED], "into an empty table"
        apply(engine, PostgresUpsert(), CASES[1])
        assert apply(engine, PostgresUpsert(), CASES[BAD]) == [REFUSED], "beside a case that was taken"


def test_a_case_that_was_taken_once_may_be_refused_later(engine: Engine, upsert: ComparableUpsert) -> None:
    with spoiled(engine):
        apply(engine, upsert, CASES[BAD])
        run(engine, *refusing("PERFORM there_is_no_such_function();", when="NEW.case_status = 'bad'"))
        run(engine, "ALTER TABLE care_case DISABLE TRIGGER USER", "UPDATE care_case SET case_status = 'bad'")
        run(engine, "ALTER TABLE care_case ENABLE TRIGGER USER")
        assert apply(engine, upsert, a_case(BAD, case_Status="bad"), seq=2) == [REFUSED]


def test_a_whole_batch_with_such_an_item_is_not_applied(engine: Engine, upsert: ComparableUpsert) -> None:
    with spoiled(engine, *refusing("PERFORM there_is_no_such_function();")):
        expected = [REFUSED if one == REFUSED else NOT_APPLIED for one in ALL_BUT_THE_BAD]
        assert apply(engine, upsert, *CASES, strict=True) == expected


@pytest.mark.parametrize("bad", [{BAD}, set(range(10))], ids=["one", "all"])
def test_row_security_refuses_items(lesser: Engine, upsert: ComparableUpsert, bad: set[int]) -> None:
    policy = f"CREATE POLICY p ON care_case USING (true) WITH CHECK (case_key <> ALL (ARRAY{sorted(bad)}))"
    mend = ("DROP POLICY p ON care_case", "ALTER TABLE care_case DISABLE ROW LEVEL SECURITY")
    with spoiled(lesser, "ALTER TABLE care_case ENABLE ROW LEVEL SECURITY", policy, mend=mend):
        outcomes = apply(lesser, upsert, *CASES)
    assert outcomes == [REFUSED if case["case_Key"] in bad else CREATED for case in CASES]


def test_a_trigger_that_may_not_read_another_table_refuses_items(lesser: Engine, upsert: ComparableUpsert) -> None:
    spoil = ("CREATE TABLE secrets (a int)", *refusing("PERFORM 1 FROM secrets;"))
    with spoiled(lesser, *spoil, mend=("DROP TABLE secrets",)):
        assert apply(lesser, upsert, *CASES) == ALL_BUT_THE_BAD


def test_a_trigger_that_waits_for_the_commit_refuses_its_item_alone(engine: Engine, upsert: ComparableUpsert) -> None:
    function, _ = refusing("PERFORM there_is_no_such_function();")
    trigger = (
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON care_case DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with spoiled(engine, function, trigger):
        assert apply(engine, upsert, *CASES) == ALL_BUT_THE_BAD
