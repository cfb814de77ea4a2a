"""The page for jobs tries a file against the database before it sends it: what would become of each case."""

import itertools
import json
from pathlib import Path

import pytest
import zstandard
from playwright.sync_api import Route, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import cases_file
from tests.acceptance.system import System
from tests.builders import a_case
from tests.pausing import paused_workers

TRY = "Try against the database"
ZSTD = "() => { try { return Boolean(new DecompressionStream('zstd')); } catch { return false; } }"


def cases_of(first_key: int) -> list[dict[str, object]]:
    """Ten cases: three are new, five are changed, one is as it was, one breaks a rule."""
    cases = [a_case(first_key + place, case_Status="OPEN", case_ID="a") for place in range(10)]
    for case in cases[3:8]:
        case["case_Status"] = "CLOSED"
    cases[7]["case_ID"] = "b"
    cases[9]["case_Status"] = "far too long"
    return cases


def test_it_is_offered_first_shows_what_would_become_and_applies_nothing(
    visit: Visit, system: System, first_key: int, tmp_path: Path
) -> None:
    there = [a_case(first_key + place, case_Status="OPEN", case_ID="a") for place in range(3, 10)]
    system.final(system.send(there))
    before = system.query(
        f"SELECT * FROM care_case WHERE case_key BETWEEN {first_key} AND {first_key + 9} ORDER BY case_key"
    )
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(cases_of(first_key)))
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose(file)
    visitor.check()
    expect(page.get_by_role("button", name=TRY)).to_be_focused()
    page.keyboard.press("Enter")
    expect(
        page.get_by_text(
            "Of 10 items, 3 would be created, 5 would be updated, 1 would stay as they are, 1 would be refused."
            " Nothing was applied."
        )
    ).to_be_visible()
    for name, count in (("Would be created", 3), ("Would be updated", 5), ("Unchanged", 1), ("Would be refused", 1)):
        expect(visitor.count(name)).to_have_text(str(count))
    changes = page.get_by_role("table", name="Changes by field")
    expect(changes.get_by_role("row", name="case_Status 5")).to_be_visible()
    expect(changes.get_by_role("row", name="case_ID 1")).to_be_visible()
    refused = page.get_by_role("table", name="What would be refused, by field and rule")
    row = refused.get_by_role("row", name="case_Status must have at most 8 characters")
    expect(row.get_by_role("cell").nth(2)).to_have_text("9")
    assert before == system.query(
        f"SELECT * FROM care_case WHERE case_key BETWEEN {first_key} AND {first_key + 9} ORDER BY case_key"
    )

    # then it is sent for real
    send = page.get_by_role("button", name="Send 10 items for real all the same")
    expect(send).to_be_focused()
    page.keyboard.press("Enter")
    expect(visitor.count("Created")).to_have_text("3")
    expect(visitor.count("Updated")).to_have_text("6")
    real = visitor.job_id()

    # the list and the job's page tell one from the other
    page.get_by_role("link", name="All jobs").click()
    lines = page.get_by_role("listitem")
    expect(lines.filter(has_text=real[-8:])).not_to_contain_text("Dry run")
    tried = lines.filter(has_text="Dry run").first
    tried.get_by_role("link").click()
    expect(page.get_by_text("Nothing was applied: this was a dry run.")).to_be_visible()
    expect(visitor.count("Would be updated")).to_have_text("5")
    expect(page.get_by_role("table", name="Changes by field")).to_be_visible()
    expect(page.get_by_text("Has seen all batches up to")).to_be_visible()
    records = [json.loads(line) for line in visitor.download("ndjson").splitlines()]
    assert [(item["_index"], item["case_Status"]) for item in records] == [(9, "far too long")]
    assert visitor.console.texts() == []


def test_each_try_is_a_new_one_and_another_target_begins_anew(
    visit: Visit, system: System, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key))
    visitor.skip_check()
    visitor.try_it()
    expect(page.get_by_text("Of 1 item, 1 would be created. Nothing was applied.")).to_be_visible()
    system.final(system.send([a_case(first_key)]))
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Of 1 item, 1 would stay as they are. Nothing was applied.")).to_be_visible()
    page.get_by_label("All items or none").check()
    expect(page.get_by_role("button", name="Check the file")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_a_packed_file_that_the_browser_cannot_take_apart_is_reported_and_tried_instead(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    if page.evaluate(ZSTD):
        pytest.skip("this Chromium unpacks zstd, so such a file is checked as any other")
    file = tmp_path / "cases.ndjson.zst"
    lines = "".join(json.dumps(a_case(first_key + place)) + "\n" for place in range(20_001))
    file.write_bytes(zstandard.compress(lines.encode()))
    visitor.choose(file)
    visitor.check()
    expect(page.get_by_text("This browser cannot take a .zst file apart")).to_be_visible()
    expect(page.get_by_text("Try it against the database instead")).to_be_visible()
    visitor.try_it()
    expect(page.get_by_text("Of 20,001 items, 20,001 would be created. Nothing was applied.")).to_be_visible()


@pytest.mark.parametrize(("label", "text"), [("Database", "demo_sqlite"), ("Care plan (optional)", "5")])
def test_what_was_checked_for_one_target_is_not_sent_while_the_fields_name_another(
    visit: Visit, first_key: int, tmp_path: Path, label: str, text: str
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key))
    visitor.check()
    expect(page.get_by_role("button", name="for real")).to_be_visible()
    page.get_by_label(label).fill(text)
    page.get_by_label(label).press("Tab")
    expect(page.get_by_role("button", name="for real")).to_be_hidden()
    expect(page.get_by_role("button", name="Check the file")).to_be_visible()


def test_a_restart_while_a_file_is_tried_passes(visit: Visit, system: System, first_key: int, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key))
    visitor.skip_check()
    with paused_workers(system):
        visitor.try_it()
        expect(page.get_by_text("0 of 1 item tried")).to_be_visible()
        system.kill(system.pid("intake"))
    expect(page.get_by_text("Of 1 item, 1 would be created. Nothing was applied.")).to_be_visible()


def test_what_was_counted_before_the_events_broke_off_is_not_counted_again(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    visitor, asked = visit(), itertools.count()
    page = visitor.page

    def cut(route: Route) -> None:
        """Let the first answer end behind the outcomes, as a network does that breaks off."""
        if next(asked):
            route.continue_()
            return
        answer = route.fetch()
        events = answer.text().split("\n\n")
        last = next(place for place, event in enumerate(events) if "event: outcomes" in event)
        route.fulfill(response=answer, body="".join(f"{event}\n\n" for event in events[: last + 1]))

    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key, 3))
    visitor.skip_check()
    page.route("**/jobs/*/events*", cut)
    visitor.try_it()
    expect(page.get_by_text("Of 3 items, 3 would be created. Nothing was applied.")).to_be_visible()
    assert next(asked) > 1
