"""The page for jobs as a person uses it: sign in, check and send a file, watch it, mend what failed, and send that."""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import lines_of
from tests.acceptance.system import System
from tests.builders import a_case
from tests.pausing import paused_workers

Packing = Callable[[list[Any]], bytes]
FORMS: dict[str, Packing] = {
    "cases.json": lambda cases: json.dumps(cases, indent=1).encode(),
    "cases.ndjson": lambda cases: "\n".join(map(json.dumps, cases)).encode(),
    "cases.ndjson.gz": lambda cases: gzip.compress("\n".join(map(json.dumps, cases)).encode()),
}


def some_cases(first: int, count: int = 300) -> list[dict[str, Any]]:
    """Cases of which each hundredth has a status that is too long, and the ones after these no care plan."""
    cases = [a_case(first + place, case_Status="OPEN") for place in range(count)]
    for case in cases[::100]:
        case["case_Status"] = "far too long"
    for case in cases[1::100]:
        del case["carePlan_Key"]
    return cases


@pytest.mark.parametrize("name", FORMS)
def test_a_file_is_checked_sent_watched_and_mended(
    visit: Visit, system: System, first_key: int, tmp_path: Path, name: str
) -> None:
    cases, file = some_cases(first_key), tmp_path / name
    file.write_bytes(FORMS[name](cases))
    visitor = visit()
    page = visitor.page

    # they sign in
    visitor.sign_in()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()

    # they choose a file, and see what the rules say of it; nothing is applied
    visitor.choose(file)
    visitor.check()
    expect(
        page.get_by_text("6 of 300 items have faults. These would be refused, the other 294 applied.")
    ).to_be_visible()
    faults = page.get_by_role("table", name="Faults by field and rule")
    expect(faults.get_by_role("row", name="carePlan_Key is required").get_by_role("cell").nth(2)).to_have_text(
        "1, 101, 201"
    )
    assert system.query(
        f"SELECT count(*) FROM care_case WHERE case_key >= {first_key} AND case_key < {first_key + 300}"
    ) == [(0,)]

    # they send it all the same, and watch it
    visitor.send()
    expect(visitor.state()).to_have_text("Completed")
    expect(visitor.count("Created")).to_have_text("294")
    expect(visitor.count("Failed")).to_have_text("6")
    job_id = visitor.job_id()
    failed = page.get_by_role("table", name="Failed items by field and rule")
    row = failed.get_by_role("row", name="case_Status must have at most 8 characters")
    expect(row.get_by_role("cell").nth(1)).to_have_text("3")
    expect(row.get_by_role("cell").nth(2)).to_have_text("0, 100, 200")

    # they take the failed items as they sent them, and mend one
    items = lines_of(visitor.download("ndjson"))
    assert [item["_index"] for item in items] == [0, 1, 100, 101, 200, 201]
    assert [{name: item[name] for name in item if name[0] != "_"} for item in items] == [
        cases[item["_index"]] for item in items
    ]
    assert {item["_status"] for item in items} == {422}
    assert items[1]["_reason"] == "carePlan_Key: is required"
    rows = list(csv.DictReader(io.StringIO(visitor.download("csv"))))
    assert [(row["case_Key"], row["case_Status"], row["_reason"]) for row in rows[:2]] == [
        (str(first_key), "far too long", "case_Status: must have at most 8 characters"),
        (str(first_key + 1), "OPEN", "carePlan_Key: is required"),
    ]
    mended = tmp_path / "mended.ndjson"
    mended.write_text("\n".join(json.dumps(item | {"case_Status": "OPEN", "carePlan_Key": 5}) for item in items))
    visitor.choose(mended)
    visitor.check()
    expect(page.get_by_text("All 6 items keep the rules.")).to_be_visible()
    visitor.send()
    expect(visitor.count("Created")).to_have_text("6")
    expect(page.get_by_text("All 6 items are applied.")).to_be_visible()

    # both are in the list, and it can be narrowed
    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("link", name=job_id[-8:])).to_be_visible()
    with page.expect_response(lambda one: "state=cancelled" in one.url):
        page.get_by_label("State").select_option("cancelled")
    expect(page.locator(".summary")).to_contain_text("cancelled")
    expect(page.get_by_role("link", name=job_id[-8:])).to_have_count(0)
    page.get_by_label("Open by id").fill(job_id)
    page.get_by_role("button", name="Show").click()
    expect(visitor.count("Failed")).to_have_text("6")

    # they sign out, and nothing of them is left
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_focused()
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert page.get_by_label("API key").input_value() == ""
    page.get_by_label("API key").fill(visitor.api_key)
    page.get_by_label("Bearer token").fill(visitor.bearer)
    page.get_by_role("button", name="Sign in").click()
    expect(visitor.count("Failed")).to_have_text("6")
    expect(page.get_by_text(name)).to_have_count(0)
    assert [text for text in visitor.console.texts() if "Failed to load resource" not in text] == []


def test_without_the_file_they_get_keys_and_reasons_and_another_file_is_noticed(
    visit: Visit, system: System, first_key: int, tmp_path: Path
) -> None:
    cases = some_cases(first_key)
    job = system.send(cases)
    system.final(job)
    visitor = visit()
    visitor.sign_in(f"#/jobs/{job}")
    items = lines_of(visitor.download("ndjson"))
    assert items[0] == {
        "index": 0, "case_Key": first_key, "status": 422, "reason": "case_Status: must have at most 8 characters",
    }  # fmt: skip
    other, right = tmp_path / "other.json", tmp_path / "right.json"
    for file, held in ((other, [*cases[1:], cases[0]]), (right, cases)):
        file.write_text(json.dumps(held))
    chosen = visitor.page.get_by_label("The file that was sent (optional)")
    chosen.set_input_files(other)
    expect(visitor.page.get_by_text("as they are in other.json")).to_be_visible()
    visitor.page.get_by_role("button", name="Download").click()
    expect(visitor.alert("This is not the file that was sent as this job. Choose the one that was.")).to_be_visible()
    chosen.set_input_files(right)
    expect(visitor.page.get_by_text("as they are in right.json")).to_be_visible()
    assert lines_of(visitor.download("ndjson"))[1]["_index"] == 1


def test_wrong_credentials_are_shown_and_no_session_begins(visit: Visit) -> None:
    visitor = visit()
    visitor.open()
    visitor.page.get_by_label("API key").fill("not a key")
    visitor.page.get_by_label("Bearer token").fill(visitor.bearer)
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.alert("The API key is not known.")).to_be_visible()
    expect(visitor.page.get_by_label("API key")).to_be_focused()
    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_hidden()


def test_what_is_no_file_of_cases_is_reported_before_anything_is_sent(visit: Visit, tmp_path: Path) -> None:
    visitor = visit()
    visitor.sign_in()
    contents = {
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0",
        "empty.json": b"",
        "none.json": b" [ ] ",
        "broken.json.gz": b"\x1f\x8bnothing",
    }
    words = {
        "picture.png": "This is not a file of cases.",
        "empty.json": "The file is empty.",
        "none.json": "The file has no cases.",
        "broken.json.gz": "cannot be unpacked",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        visitor.choose(tmp_path / name)
        if name == "none.json":
            visitor.check()
        expect(visitor.alert(words[name])).to_be_visible()


def test_all_items_or_none_is_what_happens(visit: Visit, system: System, first_key: int, tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([a_case(first_key), a_case(first_key + 1, case_Status="far too long")]))
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose_target()
    page.get_by_label("All items or none").check()
    page.locator("#file").set_input_files(file)
    visitor.check()
    expect(page.get_by_text("All items or none: as it is, none would be applied.")).to_be_visible()
    visitor.send()
    expect(visitor.count("Failed")).to_have_text("2")
    expect(page.get_by_text("No item is applied.")).to_be_visible()
    assert system.query(f"SELECT case_key FROM care_case WHERE case_key IN ({first_key}, {first_key + 1})") == []


@pytest.mark.parametrize("label", ["API key", "Bearer token"])
def test_credentials_are_not_readable_while_they_are_typed_and_no_browser_remembers_them(
    visit: Visit, label: str
) -> None:
    visitor = visit()
    visitor.open()
    field = visitor.page.get_by_label(label)
    expect(field).to_have_attribute("type", "password")
    expect(field).to_have_attribute("autocomplete", "off")


def test_the_check_names_the_index_in_the_file_wherever_the_page_cuts_it(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    """The second request has the last case only."""
    file = tmp_path / "cases.ndjson"
    good, bad = (json.dumps(a_case(first_key, case_Status=status)) for status in ("OPEN", "far too long"))
    file.write_text(f"{good}\n" * 20_000 + f"{bad}\n")
    visitor = visit()
    visitor.sign_in()
    visitor.choose(file)
    visitor.check()
    expect(visitor.page.get_by_text("1 of 20,001 items has faults.")).to_be_visible()
    expect(visitor.page.locator(".faults .indices")).to_have_text("20000")


def test_the_list_of_jobs_shows_what_becomes_of_each_while_it_is_open(
    visit: Visit, system: System, first_key: int
) -> None:
    visitor = visit()
    with paused_workers(system):
        job = system.send([a_case(first_key)])
        visitor.sign_in()
        line = visitor.page.get_by_role("listitem").filter(has_text=job[-8:])
        expect(line).to_contain_text("Queued")
    expect(line).to_contain_text("Completed")


@pytest.mark.parametrize(
    ("statuses", "again"), [((500, 503, 422), 2), ((503, 424, 424), 3)], ids=["each by itself", "all or none"]
)
def test_what_failed_for_a_reason_outside_the_items_can_be_sent_again(
    visit: Visit, system: System, first_key: int, statuses: tuple[int, ...], again: int
) -> None:
    job = system.send([a_case(first_key + place, case_Status="far too long") for place in range(3)])
    system.final(job)
    items = [
        {"id": [{"key": "case_Key", "value": first_key + place}], "status": status, "body": "x", "index": place}
        for place, status in enumerate(statuses)
    ]
    visitor = visit()
    found: dict[str, Any] = {"data": items, "error": None, "debug": {}}
    visitor.page.route(re.compile(r"/result\b"), lambda route: route.fulfill(status=207, json=found))
    visitor.sign_in(f"#/jobs/{job}")
    expect(visitor.page.get_by_role("button", name=f"Send {again} again")).to_be_visible()
