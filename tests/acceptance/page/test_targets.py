"""The page for jobs: what is chosen beside a file goes with it and into its key, and comes back when that is resent."""

from pathlib import Path

from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import cases_file


def test_the_same_file_for_another_target_is_another_batch_and_for_the_same_one_it_is_not(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    file = cases_file(tmp_path, first_key, carePlan_Key=5)
    visitor.sign_in()
    jobs = []
    for database, care_plan in (("demo", ""), ("demo", "5"), ("demo_sqlite", "5"), ("demo", "")):
        visitor.choose(file, database, care_plan)
        visitor.skip_check()
        visitor.send()
        expect(visitor.state()).to_have_text("Completed")
        jobs.append(visitor.job_id())
    assert jobs[0] == jobs[3]
    assert len({*jobs}) == 3


def test_a_file_that_is_sent_once_more_goes_to_the_same_target(visit: Visit, first_key: int, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key, carePlan_Key=5), "demo_sqlite", "5")
    visitor.skip_check()
    visitor.send()
    expect(visitor.state()).to_have_text("Completed")
    visitor.choose_once_more(visitor.job_id())
    expect(page.get_by_label("Database")).to_have_value("demo_sqlite")
    expect(page.get_by_label("Care plan (optional)")).to_have_value("5")
    visitor.skip_check()
    visitor.send()
    expect(visitor.count("Updated")).to_have_text("1")
    expect(page.locator(".details")).to_contain_text("demo_sqlite")


def test_a_database_with_a_character_that_cannot_be_sent_is_refused_where_it_was_pasted(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key), "demo\u200b")
    visitor.check()
    database = visitor.page.get_by_label("Database")
    expect(database).to_be_focused()
    assert "a character that cannot be sent" in database.evaluate("field => field.validationMessage")
    database.fill("demo")
    visitor.check()
    expect(visitor.page.get_by_text("All 1 item keep the rules.")).to_be_visible()
