"""Fields that the service fills in: the audit fields, and the care plan of the path."""

from datetime import UTC, datetime

from tests.builders import NOW, a_case
from tests.unit.judging import judged, row_of

from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.cases.validation import Rules


def test_audit_fields_are_filled_in_where_they_are_left_out() -> None:
    row = row_of()
    assert (row["entry_Date"], row["entry_User"]) == (NOW, "sender")
    assert (row["update_Date"], row["update_User"]) == (NOW, "sender")
    given_ = row_of(entry_User="importer", update_Date="2020-01-01T00:00:00Z")
    assert given_["entry_User"] == "importer"
    assert row_of(update_User="")["update_User"] == "", "as given"
    assert given_["update_Date"] == datetime(2020, 1, 1, tzinfo=UTC)


def test_the_care_plan_of_the_path_is_the_items() -> None:
    rules = Rules(care_plan=5, user="sender", moment=NOW)
    good, bad = judged(a_case(1), a_case(2, carePlan_Key=6), rules=rules)
    assert isinstance(good, dict)
    assert bad == Outcome(Kind.INVALID, "carePlan_Key: must equal the care plan of the path")
