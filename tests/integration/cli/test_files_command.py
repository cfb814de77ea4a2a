"""files check: the first rows as cases, and every fault; nothing is sent, and no service is needed."""

from pathlib import Path

import pytest
from tests.integration.cli.commands import Carecase
from tests.integration.client.workbooks import a_workbook

MAPPING = """
columns = { "Case" = "case_Key", "DNC" = "do_Not_Contact", "Status" = "case_Status" }
constants = { carePlan_Key = 5 }
"""
BAD = "Case,DNC,Status\n1,false,OPEN\n2,maybe,OPEN\n3,false\n4,false,far too long\nCase,DNC,Status\nTotal,,4\n"


def test_it_shows_rows_as_cases_and_every_fault(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "bad.csv").write_text(BAD)
    ran = carecase(
        "files", "check", str(tmp_path / "bad.csv"), "--mapping", str(tmp_path / "mapping.toml"), "--rows", "1"
    )
    assert (ran.status, ran.err) == (1, "")
    assert [line.partition(".")[0] for line in ran.out.splitlines()] == [
        "Line 4 has 2 cells, and there are 3 columns",
        "Line 6 repeats the header row: files were concatenated",
        '{"case_Key": 1, "do_Not_Contact": false, "case_Status": "OPEN", "carePlan_Key": 5}',
        "Line 3: do_Not_Contact: must be true or false",
        "Line 5: case_Status: must have at most 8 characters",
        "Line 7: case_Key: must be an integer; do_Not_Contact: is required",
        "Line 7 is the last one, has no case_Key and looks like a total",
        "1 of 6 rows are cases",
    ]


@pytest.mark.parametrize("is_workbook", [False, True])
def test_the_faults_of_a_file_without_any_good_row_are_shown(
    carecase: Carecase, tmp_path: Path, is_workbook: bool
) -> None:
    """It is not empty, and who is told so looks in the wrong place."""
    names = ["case_Key", "carePlan_Key", "do_Not_Contact"]
    if is_workbook:
        file = a_workbook(tmp_path, [names, [1, 5, False, "x"], [2, 5, False, "x"]])
    else:
        file = tmp_path / "bad.csv"
        file.write_text(f"{','.join(names)}\n1,5,false,x\n2,5,false,x\n")
    ran = carecase("files", "check", str(file))
    assert (ran.status, ran.err) == (1, "")
    begins = [line.partition(",")[0] for line in ran.out.splitlines()]
    assert begins == ["Line 2 has 4 cells", "Line 3 has 4 cells", "0 of 2 rows are cases. Nothing was sent."]


def test_cases_of_another_care_plan_are_faults_and_the_next_command_names_the_care_plan(
    carecase: Carecase, tmp_path: Path
) -> None:
    """The service would refuse each of them."""
    (tmp_path / "rows.csv").write_text("case_Key,carePlan_Key,do_Not_Contact\n1,5,false\n")
    ran = carecase("files", "check", "rows.csv", "--care-plan", "7")
    assert (ran.status, "Line 2: carePlan_Key: " in ran.out) == (1, True)
    ran = carecase("files", "check", "rows.csv", "--care-plan", "5")
    assert (ran.status, ran.err.endswith(": carecase submit rows.csv --care-plan 5 --dry-run\n")) == (0, True), ran.err


def test_a_mapping_may_begin_with_a_byte_order_mark(carecase: Carecase, tmp_path: Path) -> None:
    """As some editors write it."""
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8-sig")
    (tmp_path / "good.csv").write_text("Case,DNC,Status\n1,true,OPEN\n")
    ran = carecase("files", "check", "good.csv", "--mapping", "mapping.toml")
    assert (ran.status, ran.out.endswith("1 of 1 rows are cases. Nothing was sent.\n")) == (0, True), ran.err


def test_a_mapping_is_found_in_the_configuration(
    carecase: Carecase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "carecase.toml").write_text(f"[clients.ann.files.referrals]\n{MAPPING}\n[clients.bob]\n")
    (tmp_path / "good.csv").write_text("Case,DNC,Status\n1,true,OPEN\n")
    named = ("files", "check", str(tmp_path / "good.csv"), "--config", str(tmp_path / "carecase.toml"), "--mapping")
    assert carecase(*named, "referrals").out.endswith("1 of 1 rows are cases. Nothing was sent.\n")
    assert "carecase submit" in carecase(*named, "referrals").err
    assert carecase(*named, "referrals").err.endswith("--mapping referrals --dry-run\n")
    unknown = carecase(*named, "referral")
    assert (unknown.status, "no client has a mapping referral" in unknown.err) == (2, True)
    monkeypatch.setenv("CARECASE_CONFIG", "carecase.toml")
    ran = carecase("files", "check", "good.csv", "--mapping", "referrals")
    assert (ran.status, ran.out.endswith("1 of 1 rows are cases. Nothing was sent.\n")) == (0, True), ran.err


def test_a_name_that_several_clients_have_given_is_no_mapping(carecase: Carecase, tmp_path: Path) -> None:
    """Each partner's columns are its own, and the first one's might fit by accident."""
    mapping = 'files.referrals.columns = { "Case" = "case_Key" }'
    (tmp_path / "carecase.toml").write_text(f"[clients.ann]\n{mapping}\n[clients.bob]\n{mapping}\n")
    (tmp_path / "good.csv").write_text("Case\n1\n")
    ran = carecase("files", "check", "good.csv", "--config", "carecase.toml", "--mapping", "referrals")
    text = "carecase.toml: several clients have a mapping referrals. Give it as a TOML file of its own.\n"
    assert (ran.status, ran.out, ran.err) == (2, "", text)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (
            'colums = {}\ndelimiter = "ab"\n',
            ["colums: no such setting; did you mean columns?", "delimiter: must be one character"],
        ),
        ('columns = { a = "case_Kay" }', ["columns: case_Kay is not a field of a case; did you mean case_Key?"]),
        ("columns = 3", ["columns: must be a table"]),
        ("{", ["is not TOML"]),
        (None, ["cannot be read"]),
    ],
)
def test_a_mistake_in_a_mapping_is_named_by_its_setting(
    carecase: Carecase, tmp_path: Path, mapping: str | None, words: list[str]
) -> None:
    (tmp_path / "good.csv").write_text("a\n1\n")
    if mapping is not None:
        (tmp_path / "mapping.toml").write_text(mapping)
    ran = carecase("files", "check", str(tmp_path / "good.csv"), "--mapping", str(tmp_path / "mapping.toml"))
    assert (ran.status, ran.out) == (2, "")
    assert [word for word in words if word not in ran.err] == []


def test_what_has_no_place_in_a_case_is_reported_for_episodes(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "one.ndjson").write_text('{"resourceType":"EpisodeOfCare","id":"7","status":"active"}\n')
    mapping = ("--mapping", "fhir-r4-episode-of-care", "--care-plan", "5")
    ran = carecase("files", "check", str(tmp_path / "one.ndjson"), *mapping)
    assert (ran.status, "statusHistory" in ran.err) == (0, True)
