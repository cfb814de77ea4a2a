"""The page for jobs with files of rows: they are dropped on it, checked, sent and mended, and found by their lines."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.system import System
from tests.pausing import paused_workers

HEADER = ["case_Key", "carePlan_Key", "do_Not_Contact", "case_Status", "case_ID"]
DROP = """([name, text]) => {
    const dragged = new DataTransfer();
    dragged.items.add(new File([text], name, { type: "text/plain" }));
    const place = document.querySelector(".drop");
    for (const event of ["dragenter", "dragover", "drop"]) {
        place.dispatchEvent(new DragEvent(event, { dataTransfer: dragged, bubbles: true, cancelable: true }));
    }
}"""


def rows_of(first_key: int, delimiter: str = ",") -> str:
    """A file of six rows in eight lines: one has two lines, and one is blank. The second and the last break a rule."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    rows.writerow(HEADER)
    for place in range(6):
        status = "far too long" if place in (1, 5) else "OPEN"
        rows.writerow([first_key + place, 5, "false", status, "two\nlines" if place == 2 else f"00{place}"])
        if place == 3:
            text.write("\r\n")
    return text.getvalue()


def send_rows(system: System, first_key: int) -> str:
    """The job of such a file."""
    with system.client() as client:
        sent = client.put("/care-cases-batch", content=rows_of(first_key), headers={"Content-Type": "text/csv"})
    return str(sent.json()["job"]["jobId"])


@pytest.mark.parametrize(("name", "delimiter"), [("cases.csv", ","), ("cases.tsv", "\t")])
def test_a_file_of_rows_is_dropped_checked_sent_and_mended_by_its_lines(
    visit: Visit, system: System, first_key: int, tmp_path: Path, name: str, delimiter: str
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose_target()
    page.evaluate(DROP, [name, rows_of(first_key, delimiter)])
    expect(page.get_by_text(name)).to_be_visible()
    visitor.check()
    expect(page.get_by_text("2 of 6 items have faults. These would be refused, the other 4 applied.")).to_be_visible()
    row = page.get_by_role("row", name="case_Status must have at most 8 characters")
    expect(page.get_by_role("columnheader", name="First lines")).to_be_visible()
    expect(row.get_by_role("cell").nth(2)).to_have_text("3, 9")
    visitor.send()
    expect(visitor.count("Created")).to_have_text("4")
    expect(page.get_by_role("columnheader", name="First lines")).to_be_visible()
    expect(row.get_by_role("cell").nth(2)).to_have_text("3, 9")
    records = list(csv.DictReader(io.StringIO(visitor.download("csv"), newline=""), delimiter=delimiter))
    assert [(row["case_Key"], row["_index"], row["_line"], row["_status"]) for row in records] == [
        (str(first_key + 1), "1", "3", "422"),
        (str(first_key + 5), "5", "9", "422"),
    ]

    # their own columns, mended, are a file again
    mended = tmp_path / f"mended-{name}"
    with mended.open("w", newline="") as file:
        rows = csv.DictWriter(file, HEADER, delimiter=delimiter, extrasaction="ignore")
        rows.writeheader()
        rows.writerows([row | {"case_Status": "OPEN"} for row in records])
    visitor.choose(mended)
    visitor.check()
    expect(page.get_by_text("All 2 items keep the rules.")).to_be_visible()
    visitor.try_it()
    expect(page.get_by_text("Of 2 items, 2 would be created. Nothing was applied.")).to_be_visible()
    visitor.send()
    expect(page.get_by_text("All 2 items are applied.")).to_be_visible()
    found = system.query(
        f"SELECT case_key, case_id FROM care_case WHERE case_key BETWEEN {first_key} AND {first_key + 5} ORDER BY 1"
    )
    assert [(key - first_key, case_id) for key, case_id in found] == [
        (0, "000"), (1, "001"), (2, "two\nlines"), (3, "003"), (4, "004"), (5, "005"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("last", "text"),
    [
        ("1,5\r\n", "Line 20106 has 2 cells"),
        ('1,5,false,"a"b,c\r\n', 'Line 20106 has a quote (")'),
        (",".join(HEADER) + "\r\n", "Line 20106 repeats the header row"),
        ("x,5,false,OPEN,\r\n", "20106"),
    ],
    ids=["ragged", "quote", "header", "rule"],
)
def test_the_check_names_the_line_of_the_file_wherever_the_page_cuts_it(visit: Visit, last: str, text: str) -> None:
    """The second request has the last rows only; before them are blank lines, and rows of several lines."""
    rows = "1,5,false,OPEN,\r\n" * 20_000
    lines = '\r\n2,5,false,OPEN,"' + "a\n" * 3 + '"\r\n' + "\r\n" * 99
    visitor = visit()
    visitor.sign_in()
    visitor.choose_target()
    visitor.page.evaluate(DROP, ["cases.csv", ",".join(HEADER) + "\r\n" + rows + lines + last])
    visitor.check()
    found = visitor.page.get_by_role("alert") if text.startswith("Line") else visitor.page.locator(".faults .indices")
    expect(found.filter(has_text=text)).to_be_visible()


def test_without_the_file_the_lines_are_shown_too(visit: Visit, system: System, first_key: int) -> None:
    job = send_rows(system, first_key)
    system.final(job)
    visitor = visit()
    visitor.sign_in(f"#/jobs/{job}")
    expect(visitor.count("Failed")).to_have_text("2")
    assert visitor.download("csv").splitlines() == [
        "index,line,case_Key,status,reason",
        f"1,3,{first_key + 1},422,case_Status: must have at most 8 characters",
        f"5,9,{first_key + 5},422,case_Status: must have at most 8 characters",
    ]


def test_rows_that_are_sent_again_keep_the_lines_of_their_file(visit: Visit, system: System, first_key: int) -> None:
    with paused_workers(system), system.client() as client:
        job = send_rows(system, first_key)
        assert client.delete(f"/jobs/{job}").status_code == 202
    system.final(job)
    visitor = visit()
    page = visitor.page
    visitor.sign_in(f"#/jobs/{job}")
    page.get_by_role("button", name="Send 6 again").click()
    page.get_by_role("dialog").get_by_role("button", name="Send 6 items again").click()
    expect(visitor.count("Created")).to_have_text("4")
    row = page.get_by_role("row", name="case_Status must have at most 8 characters")
    expect(row.get_by_role("cell").nth(2)).to_have_text("3, 9")
    assert [item["line"] for item in system.result(visitor.job_id())] == [2, 3, 4, 6, 8, 9]


@pytest.mark.parametrize(("first", "more"), [(0, 1), (1, 0)], ids=["a row more", "other rows"])
def test_another_file_of_rows_is_noticed(
    visit: Visit, system: System, first_key: int, tmp_path: Path, first: int, more: int
) -> None:
    job = send_rows(system, first_key)
    system.final(job)
    other = tmp_path / "other.csv"
    other.write_text(rows_of(first_key + first) + f"{first_key + 6},5,false,OPEN,\r\n" * more, newline="")
    visitor = visit()
    visitor.sign_in(f"#/jobs/{job}")
    visitor.page.get_by_label("The file that was sent (optional)").set_input_files(other)
    expect(visitor.page.get_by_text("as they are in other.csv")).to_be_visible()
    visitor.page.get_by_role("button", name="Download").click()
    expect(visitor.alert("This is not the file that was sent as this job.")).to_be_visible()
