"""What every upsert must do, whatever the dialect: a test class brings both."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, func, select, text
from tests.builders import NOW, a_batch, a_case, a_lease
from tests.integration.targets.grounds import ground_of, noting_writes

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.care_case import FIELDS
from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    SUPERSEDED,
    UPDATED,
    Kind,
    Outcome,
)
from carecase_worker.cases.validation import Rules, validate
from carecase_worker.targets.dialects.upsert import ComparableUpsert
from carecase_worker.targets.tables import CARE_CASE, INGEST_LEDGER
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk, plan_uniform_outcome

MOMENT = "2026-01-02T03:04:05.678900+00:00"
FULL: dict[str, Any] = {
    "appointment_Date": MOMENT, "assessment_Date": MOMENT, "case_Assign_Type": "TEAM", "case_End_Date": MOMENT,
    "case_ID": "O'Hara; \"%s\" \\ 😀", "case_Priority": -3, "case_Reason": "X" * 32, "case_Score": 0.1,
    "case_Start_Date": "1899-12-31T23:59:59.999999Z", "case_Status": "OPEN", "division_ID": "", "group_ID": "g",
    "eligibility_Verified": MOMENT, "eligibility_Verified_Comment": "ß" * 512, "case_Close_Reason": "none",
    "entry_Date": MOMENT, "entry_User": "importer", "member_Seq": "01", "provider_ID": "p", "subscriber_ID": "s",
    "update_Date": MOMENT, "update_User": "importer",
}  # fmt: skip


class UpsertConformance:
    """The suite. A test class gets it by inheritance and brings the fixtures `engine` and `upsert`."""

    @pytest.fixture
    def writer(self, engine: Engine, upsert: ComparableUpsert) -> Iterator[Writer]:
        with engine.begin() as connection:
            connection.execute(CARE_CASE.delete())
            connection.execute(INGEST_LEDGER.delete())
        yield Writer(engine, upsert)
        pool: Any = engine.pool
        assert pool.checkedout() == 0, "a connection was not given back"

    def apply(
        self,
        writer: Writer,
        *cases: dict[str, Any],
        seq: int = 1,
        care_plan: int | None = None,
        user: str = "sender",
        strict: bool = False,
        key: LedgerKey | None = None,
    ) -> list[Outcome]:
        key = key or LedgerKey(uuid4(), 0)
        lease = a_lease(key.job_id, seq=seq, care_plan=care_plan, user=user, strict=strict)
        return writer.write(key, plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease))

    def stored(self, engine: Engine, key: int = 1) -> dict[str, Any]:
        with engine.connect() as connection:
            row = connection.execute(select(CARE_CASE).where(CARE_CASE.c["case_Key"] == key)).mappings().one()
            return {field.name: row[CARE_CASE.c[field.name]] for field in FIELDS}

    def stored_keys(self, engine: Engine) -> list[int]:
        key = CARE_CASE.c["case_Key"]
        with engine.connect() as connection:
            return list(connection.execute(select(key).order_by(key)).scalars())

    def test_a_case_that_was_not_there_is_created_as_it_was_sent(self, engine: Engine, writer: Writer) -> None:
        case = a_case(**FULL)
        assert self.apply(writer, case) == [CREATED]
        (sent,) = validate(a_batch(case), Rules(None, "sender", NOW))
        stored = self.stored(engine)
        assert isinstance(sent, dict)
        moments = {name: value for name, value in sent.items() if hasattr(value, "tzinfo")}
        assert {name: stored[name].replace(tzinfo=value.tzinfo) for name, value in moments.items()} == moments
        assert {k: v for k, v in stored.items() if k not in moments} == {
            k: v for k, v in sent.items() if k not in moments
        }

    def test_a_case_that_was_there_is_replaced_but_for_who_entered_it(self, engine: Engine, writer: Writer) -> None:
        self.apply(writer, a_case(**FULL), seq=1)
        assert self.apply(writer, a_case(entry_User="other", case_ID="new"), seq=2, user="bob") == [UPDATED]
        stored = self.stored(engine)
        assert (stored["case_ID"], stored["case_Status"]) == ("new", None)
        assert (stored["entry_User"], stored["entry_Date"].year) == ("importer", 2026)
        assert stored["update_User"] == "bob"

    def test_what_is_written_once_more_is_known_by_its_version(self, engine: Engine, writer: Writer) -> None:
        """The ledger does not know, if its row is gone."""
        case = a_case(case_ID="same")
        assert self.apply(writer, case, seq=2) == [CREATED]
        assert self.apply(writer, case, seq=2, user="bob") == [SUPERSEDED]
        assert self.stored(engine)["update_User"] != "bob"

    def test_an_older_batch_changes_nothing_but_who_entered_it_first(self, engine: Engine, writer: Writer) -> None:
        assert self.apply(writer, a_case(case_ID="second", entry_User="second"), seq=2) == [CREATED]
        assert self.apply(writer, a_case(case_ID="first", entry_User="first"), seq=1) == [SUPERSEDED]
        stored = self.stored(engine)
        assert (stored["case_ID"], stored["entry_User"]) == ("second", "first")

    def test_of_the_cases_of_an_older_batch_each_says_who_entered_it_first(
        self, engine: Engine, writer: Writer
    ) -> None:
        for order in (1, -1):
            keys = [1, 2, 3][::order]
            self.apply(writer, a_case(2 + 10 * order), seq=1, user="first")
            self.apply(writer, *(a_case(key + 10 * order) for key in keys), seq=3, user="third")
            self.apply(writer, *(a_case(key + 10 * order) for key in keys), seq=2, user="second")
            entered = [self.stored(engine, key + 10 * order)["entry_User"] for key in (1, 2, 3)]
            assert entered == ["second", "first", "second"]
            self.apply(writer, *(a_case(key + 10 * order) for key in keys[:2]), seq=2, user="other")
            entered = [self.stored(engine, key + 10 * order)["entry_User"] for key in (1, 2, 3)]
            assert entered == ["second", "first", "second"]

    def test_a_key_that_comes_twice_gets_two_answers_and_the_later_item_wins(
        self, engine: Engine, writer: Writer
    ) -> None:
        cases = [a_case(1, case_ID="a"), a_case(2), a_case(1, case_ID="b"), a_case(1, case_ID="c", entry_User="x")]
        assert self.apply(writer, *cases) == [CREATED, CREATED, UPDATED, UPDATED]
        stored = self.stored(engine)
        assert (stored["case_ID"], stored["entry_User"]) == ("c", "sender")

    def test_a_key_that_comes_a_thousand_times_gets_as_many_answers(self, engine: Engine, writer: Writer) -> None:
        cases = [a_case(1, case_ID=str(place)) for place in range(1000)]
        assert self.apply(writer, *cases, seq=2) == [CREATED, *[UPDATED] * 999]
        assert self.stored(engine)["case_ID"] == "999"
        assert self.apply(writer, *cases, seq=1, user="first") == [SUPERSEDED] * 1000
        assert (self.stored(engine)["case_ID"], self.stored(engine)["entry_User"]) == ("999", "first")
        others = [a_case(1, carePlan_Key=6, case_ID="taken over")] * 1000
        assert self.apply(writer, *others, seq=3, care_plan=6) == [OTHER_CARE_PLAN] * 1000
        assert self.stored(engine)["case_ID"] == "999"

    def test_each_version_of_a_case_that_comes_often_is_written(self, engine: Engine, writer: Writer) -> None:
        """A trigger, as that of an audit, sees them all."""
        with noting_writes(engine):
            self.apply(writer, *[a_case(1)] * 20, a_case(2))
            with engine.connect() as connection:
                written = list(connection.execute(text("SELECT case_key FROM written ORDER BY place")).scalars())
        assert sorted(written) == [1] * 20 + [2]

    def test_a_refused_version_of_a_case_that_comes_often_harms_no_other(self, engine: Engine, writer: Writer) -> None:
        ground_of(engine).refuse_negative_priorities(engine)
        cases = [a_case(1, case_Priority=-1 if place in (0, 7, 199) else 1, case_ID=str(place)) for place in range(200)]
        kinds = [outcome.kind for outcome in self.apply(writer, *cases)]
        assert [place for place, kind in enumerate(kinds) if kind is Kind.CONFLICT] == [0, 7, 199]
        assert (kinds[1], {*kinds[2:7], *kinds[8:199]}) == (Kind.CREATED, {Kind.UPDATED})
        assert self.stored(engine)["case_ID"] == "198"

    def test_another_care_plans_case_is_not_taken_over(self, engine: Engine, writer: Writer) -> None:
        self.apply(writer, a_case(1, carePlan_Key=5), a_case(2, carePlan_Key=6), seq=1)
        cases = [a_case(1, carePlan_Key=6), a_case(2, carePlan_Key=6), a_case(3, carePlan_Key=6)]
        assert self.apply(writer, *cases, seq=2, care_plan=6) == [OTHER_CARE_PLAN, UPDATED, CREATED]
        assert self.stored(engine, 1)["carePlan_Key"] == 5

    def test_without_a_care_plan_in_the_path_the_case_moves(self, engine: Engine, writer: Writer) -> None:
        self.apply(writer, a_case(1, carePlan_Key=5), seq=1)
        assert self.apply(writer, a_case(1, carePlan_Key=6), seq=2) == [UPDATED]
        assert self.stored(engine)["carePlan_Key"] == 6

    def test_a_chunk_is_applied_once(self, engine: Engine, writer: Writer) -> None:
        key = LedgerKey(uuid4(), 3)
        first = self.apply(writer, a_case(1), a_case(2, case_Status="too long for it"), key=key)
        assert self.apply(writer, a_case(1), a_case(2, case_Status="too long for it"), key=key) == first
        with engine.connect() as connection:
            assert connection.execute(select(func.count()).select_from(INGEST_LEDGER)).scalar() == 1

    def test_a_cancelled_chunk_cannot_be_applied_later(self, engine: Engine, writer: Writer) -> None:
        key = LedgerKey(UUID(int=7), 0)
        writer.write(key, plan_uniform_outcome(Chunk(0, 1, a_batch(a_case(1))), CANCELLED))
        (outcome,) = self.apply(writer, a_case(1), key=key)
        assert outcome.kind is Kind.CANCELLED
        with engine.connect() as connection:
            assert connection.execute(select(func.count()).select_from(CARE_CASE)).scalar() == 0

    def test_an_item_the_database_refuses_does_not_harm_the_other_thousand(
        self, engine: Engine, writer: Writer
    ) -> None:
        ground_of(engine).refuse_negative_priorities(engine)
        cases = [a_case(key, case_Priority=1) for key in range(1001)]
        cases[500]["case_Priority"] = -1
        cases[901]["case_Priority"] = -1
        outcomes = self.apply(writer, *cases)
        refused = [place for place, outcome in enumerate(outcomes) if outcome is not CREATED and outcome != CREATED]
        assert refused == [500, 901]
        assert outcomes[500].kind is Kind.CONFLICT
        assert "check" in outcomes[500].body
        assert "-1" not in outcomes[500].body

    def test_a_thousand_cases_each_get_their_own_outcome(self, engine: Engine, writer: Writer) -> None:
        self.apply(writer, *(a_case(key) for key in range(0, 1000, 2)), seq=2)
        outcomes = self.apply(writer, *(a_case(key) for key in range(1000)), seq=3)
        assert outcomes == [UPDATED, CREATED] * 500
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM care_case")).scalar() == 1000

    def test_a_strict_batch_is_applied_whole_or_not_at_all(self, engine: Engine, writer: Writer) -> None:
        ground_of(engine).refuse_negative_priorities(engine)
        self.apply(writer, a_case(1, carePlan_Key=8), seq=1)
        good = [a_case(2), a_case(3)]
        for seq, bad in enumerate((a_case(4, case_Status=8), a_case(4, case_Priority=-1), a_case(1)), start=2):
            outcomes = self.apply(writer, *good, bad, seq=seq, care_plan=5, strict=True)
            assert outcomes[:2] == [NOT_APPLIED, NOT_APPLIED], bad
            assert outcomes[2].kind in (Kind.INVALID, Kind.CONFLICT), bad
            assert self.stored_keys(engine) == [1]
        key = LedgerKey(uuid4(), 0)
        for _ in range(2):
            assert self.apply(writer, *good, seq=9, strict=True, key=key) == [CREATED, CREATED]
        assert self.stored_keys(engine) == [1, 2, 3]

    def test_cases_are_written_in_the_order_of_their_keys(self, engine: Engine, writer: Writer) -> None:
        """Two transactions that write the same cases then wait for one another, and neither for ever."""
        keys = [5, -1, 4, 2**31 - 1, 2, 0, -(2**31)]
        with noting_writes(engine):
            self.apply(writer, *map(a_case, keys), seq=1)
            self.apply(writer, *map(a_case, sorted(keys)), seq=2)
            self.apply(writer, a_case(1, case_Status="too long for it"), *map(a_case, keys), seq=3)
            self.apply(writer, *map(a_case, keys), seq=4, care_plan=5)
            with engine.connect() as connection:
                written = list(connection.execute(text("SELECT case_key FROM written ORDER BY place")).scalars())
        assert written == sorted(keys) * 4
