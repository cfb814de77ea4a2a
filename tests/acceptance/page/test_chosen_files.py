"""The page for jobs: a file that was corrected is chosen again where it was chosen before."""

import json
from pathlib import Path

from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import cases_file, lines_of
from tests.acceptance.system import System
from tests.builders import a_case

CHANGED = "The file cannot be read: it was changed, moved or removed since it was chosen. Choose it again."


def test_a_file_that_was_changed_can_be_chosen_again(visit: Visit, first_key: int, tmp_path: Path) -> None:
    visitor = visit()
    visitor.sign_in()
    visitor.choose_target()
    place = visitor.page.locator(".drop")
    visitor.choose_by_hand(place, cases_file(tmp_path, first_key))
    expect(visitor.page.get_by_role("button", name="Check the file")).to_be_visible()
    file = cases_file(tmp_path, first_key, 3)
    visitor.check()
    expect(visitor.alert(CHANGED)).to_be_visible()
    visitor.choose_by_hand(place, file)
    expect(visitor.alert(CHANGED)).to_be_hidden()
    visitor.check()
    expect(visitor.page.get_by_text("All 3 items keep the rules.")).to_be_visible()


def test_the_file_that_was_sent_can_be_chosen_again_for_its_failed_items(
    visit: Visit, system: System, first_key: int, tmp_path: Path
) -> None:
    cases = [a_case(first_key, case_Status="far too long")]
    job = system.send(cases)
    system.final(job)
    visitor = visit()
    page = visitor.page
    visitor.sign_in(f"#/jobs/{job}")
    field = page.get_by_label("The file that was sent (optional)")
    file = cases_file(tmp_path, first_key + 1)
    visitor.choose_by_hand(field, file)
    expect(page.get_by_text("as they are in cases.json")).to_be_visible()
    file.write_text(json.dumps(cases, indent=1))
    page.get_by_role("button", name="Download").click()
    expect(visitor.alert(CHANGED)).to_be_visible()
    visitor.choose_by_hand(field, file)
    expect(visitor.alert(CHANGED)).to_be_hidden()
    with page.expect_file_chooser():  # they think better of it
        field.click()
    assert lines_of(visitor.download("ndjson"))[0]["case_Status"] == "far too long"
