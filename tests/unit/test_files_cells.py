"""A cell becomes a value of its field's type, or stays text for the rules to judge."""

import pytest
from tests.traced_memory import traced_memory
from tests.unit.rows import HEADER, ROW, cases, mapped

from carecase_worker.cases.care_case import FIELD
from carecase_worker.files.cells import CellForms, converter


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12a", "12a"), ("1.0", "1.0"), ("1_0", "1_0"), ("٣", "٣"), (" 7 ", 7), ("+7", 7), ("-07", -7),
        ("9" * 30, int("9" * 30)),
    ],
)  # fmt: skip
def test_a_cell_that_is_not_of_its_type_stays_text_for_the_rules_to_judge(cell: str, value: object) -> None:
    assert cases(HEADER + f"{cell},5,false,x\n".encode()) == [{**ROW, "case_Key": value, "case_ID": "x"}]


@pytest.mark.parametrize("cell", ["nan", "inf", "1e999", "0x1", "1,5", "--1"])
def test_a_number_that_json_does_not_have_stays_text(cell: str) -> None:
    text = f'case_Key,carePlan_Key,do_Not_Contact,case_Score\n1,5,false,"{cell}"\n'.encode()
    assert cases(text) == [{**ROW, "case_Score": cell}]


@pytest.mark.parametrize(
    ("cell", "value"), [("1,5", 1.5), ("-,5", -0.5), ("2", 2.0), ("1.234", "1.234"), ("1.234,5", "1.234,5")]
)
def test_with_a_decimal_comma_a_point_may_be_of_thousands_and_is_not_guessed_at(cell: str, value: object) -> None:
    mapping = mapped(
        columns={"k": "case_Key", "s": "case_Score"}, delimiter=";", decimal=",",
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )  # fmt: skip
    assert cases(f"k;s\n1;{cell}\n".encode(), mapping) == [{**ROW, "case_Score": value}]


def test_a_null_token_of_digits_is_no_number() -> None:
    mapping = mapped(
        columns={"k": "case_Key", "p": "case_Priority"}, null_tokens=["", "99"],
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )  # fmt: skip
    assert cases(b"k,p\n1,3\n2,99\n", mapping) == [{**ROW, "case_Priority": 3}, {**ROW, "case_Key": 2}]


@pytest.mark.parametrize("token", ["-", " ", "- "])
def test_a_null_token_is_one_with_the_blanks_that_it_has_and_with_others_around_it(token: str) -> None:
    mapping = mapped(
        columns={"k": "case_Key", "p": "case_Priority"}, null_tokens=[token],
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )  # fmt: skip
    assert cases(f"k,p\n1,{token}\n".encode(), mapping) == [ROW]
    padded = cases(f"k,p\n1, {token} \n".encode(), mapping)
    assert padded == [ROW if token == "-" else {**ROW, "case_Priority": token.strip()}]


def test_tokens_of_truth_are_known_in_capitals_too() -> None:
    mapping = mapped(
        columns={"k": "case_Key", "n": "do_Not_Contact"}, true_tokens=["gemäß"], false_tokens=["Nein"],
        constants={"carePlan_Key": 5},
    )  # fmt: skip
    said = cases("k,n\n1,GEMÄSS\n1,gemäß\n1,NEIN\n1,ja\n".encode(), mapping)
    assert [case["do_Not_Contact"] for case in said] == [True, True, False, "ja"]


def test_blanks_around_a_date_time_are_no_part_of_it() -> None:
    text = b"case_Key,carePlan_Key,do_Not_Contact,case_Start_Date\n1,5,false, 2026-02-05T01:00:00Z \n2,5,false,\n"
    assert cases(text) == [{**ROW, "case_Start_Date": "2026-02-05T01:00:00Z"}, {**ROW, "case_Key": 2}]


def test_a_column_of_many_different_cells_is_converted_as_one_of_few() -> None:
    rows = 25_000
    text = b"case_Key,carePlan_Key,do_Not_Contact,case_Score\n"
    text += b"".join(b"%d,5,false,%d.5\n%d,5,false,0.5\n" % (n, n, n) for n in range(rows))
    scores = [case["case_Score"] for case in cases(text, piece_bytes=1 << 16)]
    assert scores == [score for n in range(rows) for score in (n + 0.5, 0.5)]


def test_a_converter_keeps_few_cells_however_many_differ() -> None:
    convert = converter(FIELD["case_Score"], CellForms())

    def kept_after(columns: range) -> int:
        for column in columns:
            convert([f"{column}.{row}" for row in range(5_000)])
        return memory.now

    with traced_memory() as memory:
        before = memory.now
        few = kept_after(range(2)) - before
        assert kept_after(range(2, 40)) - before < 2 * few


@pytest.mark.parametrize(
    ("form", "text", "iso"),
    [
        ("%m/%d/%Y", "2/5/2026", "2026-02-05T00:00:00Z"),
        ("%d-%b-%y", "05-FEB-69", "1969-02-05T00:00:00Z"),
        ("%d-%b-%y", "05-feb-68", "2068-02-05T00:00:00Z"),
        ("%Y%m%d%H%M%S", "20260205093001", "2026-02-05T09:30:01Z"),
        ("%m/%d/%Y %I:%M %p", "2/5/2026 12:05 am", "2026-02-05T00:05:00Z"),
        ("%m/%d/%Y %I:%M %p", "2/5/2026 12:05 PM", "2026-02-05T12:05:00Z"),
        ("%m/%d/%Y %I:%M %p", "2/5/2026 1:05 pm", "2026-02-05T13:05:00Z"),
        ("%Y-%m-%d-%H.%M.%S.%f", "2026-02-05-09.30.01.123456789", "2026-02-05T09:30:01.123456789Z"),
        ("%d/%m/%Y %H:%M%z", "05/02/2026 09:30+0100", "2026-02-05T09:30:00+0100"),
        ("%d/%m/%Y", "2026-02-05T01:00:00Z", "2026-02-05T01:00:00Z"),
        ("%Y%%%m%%%d%%", "2026%02%05%", "2026-02-05T00:00:00Z"),
        ("%Y.%m.%d", "2026x02x05", "2026x02x05"),
        ("%d/%m/%Y", "13/13/2026", "13/13/2026"),
        ("%m%d%Y", "11012026", "2026-11-01T00:00:00Z"),
        ("%m%d%Y", "1112026", "1112026"),
        ("%d%b%Y", "5FEB2026", "2026-02-05T00:00:00Z"),
        ("%Y%m%d %H%M", "20260205 930", "20260205 930"),
        ("%Y%m%d %H:%M%z", "20260205 9:30+0100", "2026-02-05T09:30:00+0100"),
    ],
)
def test_date_times_of_a_mappings_form_become_iso_8601(form: str, text: str, iso: str) -> None:
    columns = {"k": "case_Key", "d": "case_Start_Date"}
    mapping = mapped(columns=columns, date_formats=[form], constants={"carePlan_Key": 5, "do_Not_Contact": False})
    assert cases(f"k,d\n1,{text}\n".encode(), mapping) == [{**ROW, "case_Start_Date": iso}]


def test_every_month_is_known_by_its_name() -> None:
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    fixed = {"carePlan_Key": 5, "do_Not_Contact": False}
    mapping = mapped(columns={"k": "case_Key", "d": "case_Start_Date"}, date_formats=["%d-%b-%Y"], constants=fixed)
    found = cases("".join(["k,d\n", *(f"1,09-{name}-2026\n" for name in names)]).encode(), mapping)
    assert [case["case_Start_Date"] for case in found] == [f"2026-{month:02}-09T00:00:00Z" for month in range(1, 13)]
