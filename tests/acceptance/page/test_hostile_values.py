"""The page for jobs when what it shows was made by somebody hostile: text stays text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import System
from tests.builders import a_case

MARKUP = "<img src=x onerror=window.harmed=true><script>window.harmed=true</script>"
KEY = "javascript:window.harmed=true//"


def is_unharmed(visitor: Visitor) -> bool:
    return bool(
        visitor.page.evaluate("window.harmed === undefined && !document.querySelector('main img, main script')")
    )


def test_whatever_the_service_says_is_shown_as_text(visit: Visit, system: System, first_key: int) -> None:
    job = system.send([a_case(first_key), a_case(first_key + 1, case_Status="far too long")])
    final: dict[str, Any] = system.final(job)
    hostile = final | {"database": MARKUP, "carePlanKey": MARKUP, "bodySha256": MARKUP, "sequence": KEY}
    item = {
        "id": [{"key": "case_Key", "value": MARKUP}],
        "status": 422,
        "body": f"{MARKUP}; {KEY}: {MARKUP}",
        "index": MARKUP,
    }

    def answer(route: Route) -> None:
        url = route.request.url
        if "/result" in url:
            route.fulfill(status=207, json={"data": [item], "error": None, "debug": {}})
        elif f"/jobs/{job}" in url:
            route.fulfill(json={"data": hostile}, headers={"etag": '"x"'})
        else:
            pages = {"TotalCount": 1, "TotalPages": 1, "CurrentPage": 1, "PageSize": 25}
            route.fulfill(json={"data": [hostile]}, headers={"x-pagination": json.dumps(pages)})

    visitor = visit()
    visitor.page.route(re.compile(r"/jobs(\?|/[0-9a-f-]{36})"), answer)
    visitor.sign_in()
    expect(visitor.page.get_by_text(MARKUP).first).to_be_visible()
    visitor.page.get_by_role("link", name=job[-8:]).click()
    expect(visitor.page.get_by_role("table").get_by_text(MARKUP).first).to_be_visible()
    assert json.loads(visitor.download("ndjson")) == {
        "index": MARKUP,
        "case_Key": MARKUP,
        "status": 422,
        "reason": item["body"],
    }
    assert is_unharmed(visitor)


def test_a_file_is_text_whatever_its_name_and_its_cases_are(visit: Visit, first_key: int, tmp_path: Path) -> None:
    file = tmp_path / "<img src=x onerror=harmed=1>.json"
    formulas = [f"{sign}cmd|{MARKUP}" for sign in "=+-@"]
    cases = [a_case(first_key + place, case_Status=text) for place, text in enumerate(formulas)]
    file.write_text(json.dumps([*cases, {MARKUP: MARKUP}]))
    visitor = visit()
    visitor.sign_in()
    visitor.choose(file)
    visitor.check()
    visitor.send()
    expect(visitor.count("Failed")).to_have_text("5")
    expect(visitor.page.get_by_role("heading", name=file.name)).to_be_visible()
    rows = visitor.download("csv")
    assert [text for text in formulas if f"'{text}" not in rows] == [], "no spreadsheet takes it for a formula"
    assert is_unharmed(visitor)


@pytest.mark.parametrize(
    "mistake",
    [
        "document.body.innerHTML = text",
        "document.body.insertAdjacentHTML('beforeend', text)",
        "document.body.append(Object.assign(document.createElement('script'), { textContent: text }))",
        "new Worker(text)",
    ],
)
def test_no_text_becomes_markup_or_code_even_by_a_mistake_of_the_page(visit: Visit, mistake: str) -> None:
    visitor = visit()
    visitor.open()
    tried = f"(text) => {{ try {{ {mistake}; return 'done'; }} catch (error) {{ return error.name; }} }}"
    assert visitor.page.evaluate(tried, "<b>x</b>") == "TypeError"


@pytest.mark.parametrize(
    "address",
    ["#/jobs/../../openapi.json", "#/jobs/%2e%2e", "#/jobs/%zz", "#/jobs/%3Cimg%3E", "#//evil.test", "#/send?again=x"],
)
def test_an_address_leads_to_nothing_but_views(visit: Visit, address: str) -> None:
    visitor = visit()
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.sign_in(address)
    expect(visitor.page.get_by_role("heading", level=1)).to_be_focused()
    assert [
        url
        for url in asked
        if not url.startswith((f"{visitor.url}/app", f"{visitor.url}/jobs?", f"{visitor.url}/jobs/events"))
    ] == []
