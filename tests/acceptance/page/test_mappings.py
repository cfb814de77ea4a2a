"""The page for jobs with files of partners: one of the client's mappings is chosen, and what fails is mended by it."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Request, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import System, intake_beside

CONFIG = """
[intake]
rate_per_second = 0

[clients.demo.files.referrals]
columns = { "Case No" = "case_Key", "Do not call" = "do_Not_Contact", "Status" = "case_Status", "ID" = "case_ID" }
constants = { carePlan_Key = 5 }
delimiter = "|"
encoding = "windows-1252"
true_tokens = ["Y"]
false_tokens = ["N"]
skipped_lines = 2
skipped_last_lines = 1

[clients.demo.files.other]
columns = { "Case No" = "case_Key", "Do not call" = "do_Not_Contact", "Status" = "case_Status", "ID" = "case_ID" }
constants = { carePlan_Key = 6 }
delimiter = "|"
encoding = "windows-1252"
true_tokens = ["Y"]
false_tokens = ["N"]
skipped_lines = 2
skipped_last_lines = 1

[clients.demo.files.layout]
fixed = { case_Key = "1-10", do_Not_Contact = "11-11", case_Status = "12-23", case_ID = "24-27" }
constants = { carePlan_Key = 5 }
true_tokens = ["Y"]
false_tokens = ["N"]

[clients.demo.files.wide]
columns = { "Case No" = "case_Key", "Do not call" = "do_Not_Contact" }
constants = { carePlan_Key = 5 }
encoding = "utf-16"
"""
MAPPING = "Mapping"
NONE = "None: the columns are named as the fields"
PIPES = ["referrals", "other", "layout", "wide"]


@pytest.fixture(scope="module")
def beside(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An intake of the system, with mappings for one of the clients."""
    with intake_beside(system, tmp_path_factory.mktemp("mapped"), CONFIG) as intake:
        yield intake


def partners(first_key: int) -> bytes:
    """An export with a quote before its header row, a row without values, a total, and a fault in its second row."""
    rows = [f"{first_key}|N|OPEN|Ü", "||| ", f"{first_key + 1}|N|far too long|ß", f"{first_key + 2}|Y|OPEN|"]
    around = 'Export of "Ämter', "", "Case No|Do not call|Status|ID", *rows, "TOTAL|3||", ""
    return "\r\n".join(around).encode("cp1252")


def layout(first_key: int) -> bytes:
    """Lines of fixed width that begin and end with blanks, and have a lone quote; the second one is at fault."""
    rows = [(first_key, "N", "OPEN", ' " '), (first_key + 1, "N", "far too long", "b"), (first_key + 2, "Y", "", "")]
    return "".join(f"{key:>10}{call}{status:12}{text:4}\n" for key, call, status, text in rows).encode()


def chosen(visitor: Visitor, file: Path, mapping: str) -> None:
    visitor.choose(file)
    visitor.page.get_by_label(MAPPING).select_option(mapping)
    visitor.check()


def test_a_partners_file_goes_by_the_mapping_that_is_chosen_and_what_failed_by_it_again(
    visit: Visit, beside: System, first_key: int, tmp_path: Path
) -> None:
    file = tmp_path / "export.txt"
    file.write_bytes(partners(first_key))
    visitor = visit(beside)
    page = visitor.page
    visitor.sign_in()
    visitor.choose(file)
    options = page.get_by_label(MAPPING).get_by_role("option")
    expect(options).to_have_text([NONE, *PIPES])
    chosen(visitor, file, "referrals")
    expect(page.get_by_text("1 of 3 items has faults. These would be refused, the other 2 applied.")).to_be_visible()
    row = page.get_by_role("row", name="case_Status must have at most 8 characters")
    expect(row.get_by_role("cell").nth(2)).to_have_text("6")
    visitor.try_it()
    expect(page.get_by_text("Of 3 items, 2 would be created, 1 would be refused.")).to_be_visible()
    visitor.send()
    expect(visitor.count("Created")).to_have_text("2")
    ids = dict(
        beside.query(f"SELECT case_key, case_id FROM care_case WHERE case_key BETWEEN {first_key} AND {first_key + 2}")
    )
    assert ids == {first_key: "Ü", first_key + 2: None}

    # as NDJSON in letters, as CSV in the bytes of the file, with what was around its rows
    assert json.loads(visitor.download("ndjson"))["_row"] == f"{first_key + 1}|N|far too long|ß"
    assert download(visitor, "csv").decode("cp1252").split("\r\n") == [
        'Export of "Ämter',
        "",
        "Case No|Do not call|Status|ID|_index|_line|_status|_reason",
        f"{first_key + 1}|N|far too long|ß|1|6|422|case_Status: must have at most 8 characters",
        "TOTAL|3||",
        "",
    ]
    mended = tmp_path / "mended.txt"
    mended.write_bytes(download(visitor, "csv").replace(b"far too long", b"OPEN"))
    chosen(visitor, mended, "referrals")
    expect(page.get_by_text("All 1 item keep the rules.")).to_be_visible()
    visitor.send()
    expect(visitor.count("Created")).to_have_text("1")
    assert visitor.console.texts() == []


def test_lines_of_fixed_width_keep_their_places(visit: Visit, beside: System, first_key: int, tmp_path: Path) -> None:
    file = tmp_path / "partner.dat"
    file.write_bytes(layout(first_key))
    visitor = visit(beside)
    page = visitor.page
    visitor.sign_in()
    chosen(visitor, file, "layout")
    expect(page.get_by_text("1 of 3 items has faults.")).to_be_visible()
    visitor.send()
    expect(visitor.count("Created")).to_have_text("2")
    job = visitor.job_id()
    expect(page.get_by_label("Download as").get_by_role("option").nth(1)).to_have_text(
        "The rows as they are in the file"
    )
    assert download(visitor, "csv").decode().split("\r\n") == [layout(first_key).decode().split("\n")[1], ""]

    # after a reload file and mapping are chosen once more
    page.goto("about:blank")
    visitor.sign_in(f"#/jobs/{job}")
    page.get_by_label("The file that was sent (optional)").set_input_files(file)
    page.get_by_label(MAPPING).select_option("layout")
    expect(page.get_by_text("as they are in partner.dat")).to_be_visible()
    assert json.loads(visitor.download("ndjson"))["_row"] == layout(first_key).decode().split("\n")[1]


def test_a_mark_that_contradicts_the_mappings_encoding_is_reported_by_the_check(
    visit: Visit, beside: System, first_key: int, tmp_path: Path
) -> None:
    visitor = visit(beside)
    visitor.sign_in()
    (tmp_path / "marked.txt").write_bytes(partners(first_key).decode("cp1252").encode("utf-8-sig"))
    chosen(visitor, tmp_path / "marked.txt", "referrals")
    expect(visitor.alert("The file is UTF-8, as its byte order mark says, and not windows-1252.")).to_be_visible()


def test_the_same_file_by_another_mapping_is_another_batch(
    visit: Visit, beside: System, first_key: int, tmp_path: Path
) -> None:
    file = tmp_path / "export.csv"
    file.write_bytes(partners(first_key))
    visitor = visit(beside)
    keys: list[str | None] = []

    def note(request: Request) -> None:
        if request.method == "PUT" and "validateOnly" not in request.url:
            keys.append(request.header_value("idempotency-key"))

    visitor.page.on("request", note)
    visitor.sign_in()
    jobs = []
    for mapping in ("referrals", "other", "referrals"):
        chosen(visitor, file, mapping)
        visitor.send()
        expect(visitor.state()).to_have_text("Completed")
        jobs.append(visitor.job_id())
    for names in (keys, jobs):
        assert names[0] == names[2] != names[1]
    visitor.choose_once_more(jobs[0])
    expect(visitor.page.get_by_label(MAPPING)).to_have_value("referrals")


def test_it_is_offered_for_what_a_mapping_is_for_and_changing_it_begins_anew(
    visit: Visit, beside: System, first_key: int, tmp_path: Path, axe: str
) -> None:
    contents: dict[str, Any] = {
        "export.csv": partners(first_key),
        "plain.txt": b"Case No|Do not call\n1|N\n",
        "quote.csv": b'"case_Key,carePlan_Key,do_Not_Contact\n1,5,false\n',
        "cases.json": b"[{}]",
        "episodes.ndjson": b'{"resourceType": "EpisodeOfCare", "id": "%d", "status": "active"}\n' % first_key,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    visitor = visit(beside, bypass_csp=True)
    page = visitor.page
    mapping = page.get_by_label(MAPPING)
    visitor.sign_in()
    visitor.choose(tmp_path / "cases.json")
    expect(page.get_by_role("button", name="Check the file")).to_be_visible()
    expect(mapping).to_be_hidden()
    visitor.choose(tmp_path / "export.csv")
    visitor.check()
    expect(visitor.alert("Line 1 is not utf-8.")).to_be_visible()
    visitor.choose(tmp_path / "plain.txt")
    visitor.check()
    expect(visitor.alert("or use a mapping.")).to_be_visible()
    visitor.choose(tmp_path / "quote.csv")
    visitor.check()
    expect(visitor.alert("Line 1 begins a quoted cell that never ends.")).to_be_visible()
    visitor.choose(tmp_path / "export.csv")
    mapping.focus()
    page.keyboard.type("refer")
    expect(mapping).to_have_value("referrals")
    expect(mapping).to_be_focused()
    visitor.check()
    expect(page.get_by_text("1 of 3 items has faults.")).to_be_visible()
    assert visitor.violations(axe) == []
    mapping.select_option("layout")
    expect(page.get_by_text("1 of 3 items has faults.")).to_be_hidden()
    expect(page.get_by_role("button", name="Check the file")).to_be_visible()

    # FHIR goes by the mapping that is shipped
    visitor.choose(tmp_path / "episodes.ndjson", care_plan="5")
    expect(mapping.get_by_role("option")).to_have_text(["None: each line is a case", "fhir-r4-episode-of-care"])
    mapping.select_option("fhir-r4-episode-of-care")
    visitor.check()
    expect(page.get_by_text("All 1 item keep the rules.")).to_be_visible()
    assert [text for text in visitor.console.texts() if "400" not in text] == []


def test_a_file_in_utf_16_is_checked_as_it_is(visit: Visit, beside: System, first_key: int, tmp_path: Path) -> None:
    file = tmp_path / "wide.csv"
    file.write_bytes(f"Case No,Do not call\r\n{first_key},false\r\n".encode("utf-16"))
    visitor = visit(beside)
    visitor.sign_in()
    chosen(visitor, file, "wide")
    expect(visitor.page.get_by_text("All 1 item keep the rules.")).to_be_visible()


@pytest.mark.parametrize(("name", "delimiter"), [("cases.tsv", "\t"), ("cases.csv", ";"), ("cases.psv", "|")])
def test_empty_cells_at_the_ends_of_rows_and_rows_without_values_are_seen_as_the_service_sees_them(
    visit: Visit, beside: System, first_key: int, tmp_path: Path, name: str, delimiter: str
) -> None:
    rows: list[list[Any]] = [
        ["case_Status", "case_Key", "carePlan_Key", "do_Not_Contact", "case_ID"],
        ["", first_key, 5, "false", ""],
        ["", "", "", "", ""],
        ["far too long", first_key + 1, 5, "false", ""],
    ]
    file = tmp_path / name
    file.write_text("\n".join(delimiter.join(map(str, row)) for row in rows))
    visitor = visit(beside)
    visitor.sign_in()
    visitor.choose(file)
    visitor.check()
    expect(visitor.page.get_by_text("1 of 2 items has faults.")).to_be_visible()
    visitor.send()
    expect(visitor.count("Created")).to_have_text("1")
    records = list(csv.DictReader(io.StringIO(visitor.download("csv"), newline=""), delimiter=delimiter))
    assert [(row["case_Key"], row["case_ID"], row["_line"]) for row in records] == [(str(first_key + 1), "", "4")]


def download(visitor: Visitor, form: str) -> bytes:
    """The bytes of the file of failed items."""
    visitor.page.get_by_label("Download as").select_option(form)
    with visitor.page.expect_download() as begun:
        visitor.page.get_by_role("button", name="Download").click()
    return Path(begun.value.path()).read_bytes()
