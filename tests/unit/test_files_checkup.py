"""Mappings are looked at before a file comes: what contradicts itself, what does nothing, and a row tried out."""

from typing import Any

import pytest

from carecase_worker.files.checkup import remarks, summary
from carecase_worker.settings.sections.files import FileSettings

COLUMNS = {"Case": "case_Key", "Plan": "carePlan_Key", "DNC": "do_Not_Contact"}
FIXED = {"case_Key": "1-10", "carePlan_Key": "11-14", "do_Not_Contact": "15-19"}


def remarks_of(**settings: Any) -> list[tuple[str, str, bool]]:
    return [(one.setting, one.text, one.is_mistake) for one in remarks(FileSettings.model_validate(settings))]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"columns": COLUMNS},
        {"columns": {**COLUMNS, "Notes": ""}, "encoding": "utf-16", "skipped_lines": 3, "skipped_last_lines": 2},
        {"columns": ["case_Key", "", "carePlan_Key"], "constants": {"do_Not_Contact": False}},
        {"fixed": {**FIXED, "case_ID": "20-29"}, "encoding": "cp850"},
        {
            "columns": {**COLUMNS, "Opened": "case_Start_Date", "Score": "case_Score"},
            "date_formats": ["%d.%m.%y %I:%M %p", "%b %d %Y"],
            "decimal": ",",
            "delimiter": ";",
            "true_tokens": ["J"],
            "false_tokens": ["N"],
            "null_tokens": ["", "1", "NULL"],
        },
    ],
)
def test_a_good_mapping_maps_a_sample_row(settings: dict[str, Any]) -> None:
    assert remarks_of(**settings) == []


@pytest.mark.parametrize(
    ("settings", "setting", "words"),
    [
        ({"columns": {"Case": "case_Key"}}, "columns", "there is no carePlan_Key, which every case needs"),
        ({"columns": {**COLUMNS, "case ": "case_ID"}}, "columns", "has two names that differ only in blanks or case"),
        ({"columns": {**COLUMNS, "Zażółć": "case_ID"}, "encoding": "cp437"}, "columns", "characters that cp437 lacks"),
        (
            {"columns": {"[Case": "case_Key", **{n: f for n, f in COLUMNS.items() if n != "Case"}}},
            "columns",
            "is refused",
        ),
        (
            {"columns": COLUMNS, "constants": {"case_Status": "REFERRED ONCE"}},
            "constants",
            "a sample row is refused: case_Status: must have at most 8 characters",
        ),
        ({"fixed": {**FIXED, "case_ID": "18-20"}}, "fixed", "do_Not_Contact and case_ID overlap"),
        (
            {"fixed": {**FIXED, "case_Start_Date": "20-25"}},
            "fixed",
            "a sample row is refused: case_Start_Date: must be",
        ),
        ({"columns": COLUMNS, "true_tokens": ["Y", ""]}, "true_tokens", "an empty token, which is in null_tokens, too"),
        (
            {"columns": COLUMNS, "false_tokens": ["n/a"], "null_tokens": ["", "N/A"]},
            "false_tokens",
            "n/a, which is in null_tokens",
        ),
        ({"columns": COLUMNS, "false_tokens": []}, "false_tokens", "is empty, so no cell can mean that"),
    ],
)
def test_a_mistake_is_reported_with_its_setting(settings: dict[str, Any], setting: str, words: str) -> None:
    assert [one for one in remarks_of(**settings) if one[0] == setting and words in one[1] and one[2]], remarks_of(
        **settings
    )


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"columns": list(COLUMNS.values()), "other_columns": "ignore"}, "other_columns"),
        ({"fixed": FIXED, "delimiter": ";"}, "delimiter"),
        ({"columns": COLUMNS, "date_formats": ["%d.%m.%Y"]}, "date_formats"),
        ({"columns": COLUMNS, "decimal": ",", "delimiter": ";"}, "decimal"),
        (
            {"columns": ["case_Key", "carePlan_Key"], "constants": {"do_Not_Contact": True}, "true_tokens": ["J"]},
            "true_tokens",
        ),
        (
            {"columns": ["case_Key", "carePlan_Key"], "constants": {"do_Not_Contact": True}, "true_tokens": []},
            "true_tokens",
        ),
        ({"columns": COLUMNS, "null_tokens": ["NULL"]}, "null_tokens"),
    ],
)
def test_what_does_nothing_is_a_hint(settings: dict[str, Any], setting: str) -> None:
    assert [(one[0], one[2]) for one in remarks_of(**settings)] == [(setting, False)]


def test_a_mapping_is_summed_up() -> None:
    summaries = [
        summary(FileSettings.model_validate(one)) for one in ({}, {"columns": COLUMNS, "constants": {"case_ID": "a"}})
    ]
    assert summaries == [
        "columns named as the fields; a sample row becomes a case",
        "3 columns, 1 constant; a sample row becomes a case",
    ]
