"""Each field's limits, from the contract's own table: the limit is taken, one beyond is refused with field and rule.

Every value goes all the ways by which items are read: at a glance, with an escape that needs a second look, and beside
a member that is too deep for the parser.
"""

import pytest
from tests.builders import NOW
from tests.items import an_object, base, nested, quoted
from tests.oracle import TABLE

from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.cases.validation import Rules, read_valid, validate

RULES = Rules(care_plan=None, user="sender", moment=NOW)
BESIDE: dict[str, dict[str, str]] = {"nothing": {}, "an escape": {"x": r'"\u0041"'}, "depth": {"x": nested(500)}}
DATE_TIME = "must be an ISO 8601 date-time between the years 1 and 9999"
INT32 = "must be between -2147483648 and 2147483647"
NUL = "must not contain U+0000 or a lone surrogate"


def limits_of(field: dict[str, str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Values at the limits of a field, which it takes; and values beyond, each with the rule that it breaks."""
    match field["type"]:
        case "int32":
            good = ["2147483647", "-2147483648", "0"]
            bad = [("2147483648", INT32), ("-2147483649", INT32), ("1.0", "must be an integer")]
            bad += [(other, "must be an integer") for other in ('"1"', "true", "[]", "{}", "1e0")]
        case "double":
            good = ["0", "-1.7976931348623157e308", "1.7976931348623158e308", "5e-324"]
            bad = [(f"{sign}1.7976931348623159e308", "must be a finite number") for sign in ("", "-")]
            bad += [(other, "must be a number") for other in ('"1"', "true", "[]", "{}")]
        case "boolean":
            good = ["true", "false"]
            bad = [(other, "must be true or false") for other in ("0", "1", '"true"', "[]", "{}")]
        case "date-time":
            good = [quoted(text) for text in ("0001-01-01", "9999-12-31T23:59:59.999999Z", "0001-01-01T23:59:00+23:59")]
            bad = [(quoted("0001-01-01T23:58:59+23:59"), DATE_TIME), (quoted("9999-12-31T00:01-23:59"), DATE_TIME)]
            bad += [(other, DATE_TIME) for other in ('"0000-12-31"', '"10000-01-01"', "20260101", "true", "[]", "{}")]
        case _:
            limit = int(field["max_length"])
            good = [quoted(unit * length) for unit in ("a", "😀", "\x01") for length in (0, 1, limit - 1, limit)]
            bad = [
                (quoted(unit * (limit + 1)), f"must have at most {limit} characters") for unit in ("a", "😀", "\x01")
            ]
            bad += [(other, "must be a string") for other in ("0", "true", "[]", "{}")]
            bad.append((r'"\u0000"', NUL))
    if field["nullable"] == "yes":
        good.append("null")
    else:
        bad.append(("null", "must not be null"))
    return good, bad


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("field", TABLE, ids=lambda field: field["field"])
def test_the_limit_is_taken_and_one_beyond_is_refused(field: dict[str, str], beside: str) -> None:
    name = field["field"]
    good, bad = limits_of(field)
    for value in good:
        items = f"[{an_object(base(**{name: value}, **BESIDE[beside]))}]".encode()
        (row,) = validate(items, RULES)
        assert isinstance(row, dict), (value, row)
        valid = read_valid(items, RULES)
        assert valid is None or valid.rows(RULES) == [row]
        if beside == "nothing" and field["type"] != "date-time":
            assert valid is not None, "a good item is read at a glance"
    for value, rule in bad:
        items = f"[{an_object(base(**{name: value}, **BESIDE[beside]))}]".encode()
        assert validate(items, RULES) == [Outcome(Kind.INVALID, f"{name}: {rule}")]
        assert read_valid(items, RULES) is None


@pytest.mark.parametrize("field", TABLE, ids=lambda field: field["field"])
def test_a_field_may_be_left_out_unless_it_is_required(field: dict[str, str]) -> None:
    items = f"[{an_object([one for one in base() if one[0] != field['field']])}]".encode()
    (judged,) = validate(items, RULES)
    if field["required"] == "yes":
        assert judged == Outcome(Kind.INVALID, f"{field['field']}: is required")
    else:
        audit = {"entry_Date": NOW, "update_Date": NOW, "entry_User": "sender", "update_User": "sender"}
        assert isinstance(judged, dict)
        assert judged[field["field"]] == audit.get(field["field"])
