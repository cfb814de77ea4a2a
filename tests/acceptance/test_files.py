"""Files of rows, as a partner sends them to the running system."""

import csv
import gzip
import io
import json
import subprocess
from contextlib import nullcontext
from pathlib import Path

import httpx
from tests.acceptance.system import COMMAND, System, eventually, run
from tests.pausing import paused_workers

from carecase_worker.client.files.folder import Folder
from carecase_worker.settings.loading import process_environment

HEADER = "case_Key,carePlan_Key,do_Not_Contact,case_ID,case_Status\r\n"


def put(system: System, body: bytes, **headers: str) -> httpx.Response:
    sent = {"content-type": "text/csv", "prefer": "wait=60", **{k.replace("_", "-"): v for k, v in headers.items()}}
    with system.client() as client:
        return client.put("/care-plans/5/cases-batch", content=body, headers=sent)


def test_a_file_is_applied_and_each_row_answered_with_its_line(system: System) -> None:
    first = 810_000_000
    rows = "".join(
        f'{first + n},5,{"maybe" if n == 1200 else "false"},"00{n}{chr(10) if n == 3 else ""}",OPEN\r\n'
        for n in range(2500)
    )
    response = put(system, gzip.compress((HEADER + rows).encode()), content_encoding="gzip")
    assert response.status_code == 207, response.text
    items = response.json()["data"]
    assert [item["line"] for item in items] == [2, 3, 4, 5, *range(7, 2503)]
    assert [(item["line"], item["body"]) for item in items if item["status"] != 201] == [
        (1203, "do_Not_Contact: must be true or false")
    ]
    applied = dict(
        system.query(f"SELECT case_key, case_id FROM care_case WHERE case_key BETWEEN {first} AND {first + 3}")
    )
    assert applied == {first: "000", first + 1: "001", first + 2: "002", first + 3: "003\n"}


def test_the_acknowledgement_comes_in_the_order_of_the_rows(system: System, first_key: int) -> None:
    first, second = first_key + 1, first_key
    lines = f"{first},5,false,a,OPEN\r\n\r\n{second},6,false,b,OPEN\r\n"
    response = put(system, f"{HEADER}{lines}".encode(), accept="text/csv")
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [(row["line"], row["case_Key"], row["status"], row["field"]) for row in rows] == [
        ("2", str(first), "201", ""),
        ("4", str(second), "422", "carePlan_Key"),
    ]
    with system.client(accept="text/csv") as client:
        again = client.get(f"{response.headers['location']}/result")
        failed = client.get(f"{response.headers['location']}/result", params={"outcome": "failed"})
    assert again.text == response.text
    assert failed.text.splitlines() == [response.text.splitlines()[0], response.text.splitlines()[2]]


def test_of_a_bad_file_nothing_is_enqueued(system: System) -> None:
    with system.client() as client:
        before = client.get("/jobs").headers["x-pagination"]
        rows = "".join(f"{n},5,false,a,OPEN\r\n" for n in range(5000))
        response = put(system, (HEADER + rows + "Total,5000\r\n").encode())
        assert response.status_code == 400
        assert response.json()["error"]["detail"].startswith("Line 5002 has 2 cells, and there are 5 columns.")
        assert client.get("/jobs").headers["x-pagination"] == before


MAPPING = """
columns = { "Case No" = "case_Key", "DNC" = "do_Not_Contact", "Opened" = "case_Start_Date" }
constants = { carePlan_Key = 5 }
date_formats = ["%m/%d/%Y"]
true_tokens = ["Y"]
false_tokens = ["N"]
"""


def partners(first: int, count: int) -> str:
    return "Case No,DNC,Opened\n" + "".join(f"{first + n},N,2/{n % 28 + 1}/2026\n" for n in range(count))


def test_a_file_is_sent_from_the_command_line(system: System, tmp_path: Path, first_key: int) -> None:
    (system.place / "plain.csv").write_text(f"{HEADER}{first_key},5,false,007,OPEN\n\nx,5,false,,OPEN\n")
    sent = run("submit", "plain.csv", "--json", cwd=system.place)
    job = json.loads(sent.stdout)
    assert (sent.returncode, job["created"], job["failed"]) == (1, 1, 1), sent.stderr
    failed = run("result", job["jobId"], "--failed", "--format", "csv", cwd=system.place)
    assert failed.stdout.splitlines() == ["line,index,case_Key,status,body", "4,1,,422,case_Key: must be an integer"]
    (system.place / "mapping.toml").write_text(MAPPING)
    (system.place / "partner.txt").write_text(partners(first_key + 1, 3))
    mapped = run("submit", "partner.txt", "--mapping", "mapping.toml", cwd=system.place)
    assert (mapped.returncode, "3 created" in mapped.stdout) == (0, True), mapped.stderr
    assert system.query(f"SELECT case_start_date FROM care_case WHERE case_key = {first_key + 2}")[0][0].day == 2
    unknown = run("submit", "partner.txt", "--mapping", "nosuch", cwd=system.place)
    assert (unknown.returncode, "no mapping of that name" in unknown.stderr) == (2, True)
    (system.place / "bad.csv").write_text(partners(first_key, 3) + "Total,3\n")
    bad = run("submit", "bad.csv", "--mapping", "mapping.toml", cwd=system.place)
    assert (bad.returncode, "bad.csv: Line 5 has 2 cells" in bad.stderr) == (2, True)


def keys_in(system: System, first: int) -> int:
    return int(system.query(f"SELECT count(*) FROM care_case WHERE case_key BETWEEN {first} AND {first + 999}")[0][0])


def test_a_watched_folder_sends_each_file_once_and_files_it_away(
    system: System, tmp_path: Path, first_key: int
) -> None:
    folder, done, failed = tmp_path, tmp_path / "done", tmp_path / "failed"
    (folder / "mapping.toml").write_text(MAPPING)
    (folder / "mapping.toml").rename(system.place / "drop.toml")
    (folder / "good.csv").write_text(partners(first_key, 2))
    (folder / "ragged.csv").write_text(partners(first_key + 2, 2) + "4\n")
    (folder / "rule.csv").write_text(partners(first_key + 4, 1) + "x,N,\n")
    (folder / "unfinished.csv.part").write_text(partners(first_key + 6, 1))
    (folder / "link.csv").symlink_to(system.place / "drop.toml")
    options = ("--mapping", "drop.toml", "--settle", "0", "--once")
    ran = run("drop", str(folder), *options, cwd=system.place)
    assert ran.returncode == 1, ran.stderr
    assert sorted(one.name for one in done.iterdir()) == ["good.csv", "good.csv.ack.csv"]
    assert sorted(one.name for one in failed.iterdir()) == [
        "ragged.csv", "ragged.csv.ack.csv", "rule.csv", "rule.csv.ack.csv",
    ]  # fmt: skip
    rows = list(csv.DictReader((failed / "rule.csv.ack.csv").open(newline="")))
    columns = [(one["index"], one["status"], one["field"], one["line"]) for one in rows]
    assert columns == [("0", "201", "", "2"), ("1", "422", "case_Key", "3")]
    (refused,) = csv.DictReader((failed / "ragged.csv.ack.csv").open(newline=""))
    assert (refused["status"], refused["body"].startswith("Line 4 has 1 cell")) == ("400", True)
    assert keys_in(system, first_key) == 3
    assert {one.name for one in folder.iterdir() if one.is_file()} == {"unfinished.csv.part", "link.csv"}
    (folder / "good.csv").write_text(partners(first_key, 2))
    repeated = run("drop", str(folder), *options, cwd=system.place)
    assert repeated.returncode == 0, repeated.stderr
    assert "good.csv: was sent before; 2 of 2 rows applied" in repeated.stderr
    assert len(list(done.glob("good.*.csv"))) == 3, "the same file once more: the same job, and a name of its own"


def test_a_watched_folder_is_exact_over_kills(system: System, tmp_path: Path, first_key: int) -> None:
    with system.client() as client:
        before = json.loads(client.get("/jobs").headers["x-pagination"])["TotalCount"]
    (tmp_path / "rows.csv").write_text(f"{HEADER}" + "".join(f"{first_key + n},5,false,,OPEN\n" for n in range(900)))
    arguments = [*COMMAND, "drop", str(tmp_path), "--settle", "0"]
    # while it is being sent it stays where it is, as nobody applies it
    for place, meanwhile in (
        (tmp_path / ".sending" / "rows.csv", paused_workers(system)),
        (tmp_path / "done" / "rows.csv.ack.csv", nullcontext()),
    ):
        with meanwhile, subprocess.Popen(arguments, cwd=system.place, env=process_environment()) as process:
            eventually(place.exists, what=f"{place.name} is there")
            process.kill()
    ended = run("drop", str(tmp_path), "--settle", "0", "--once", cwd=system.place)
    assert ended.returncode == 0, ended.stderr
    assert sorted(one.name for one in (tmp_path / "done").iterdir()) == ["rows.csv", "rows.csv.ack.csv"]
    rows = list(csv.DictReader((tmp_path / "done" / "rows.csv.ack.csv").open(newline="")))
    assert [(int(one["line"]), one["status"]) for one in rows] == [(n + 2, "201") for n in range(900)]
    with system.client() as client:
        assert json.loads(client.get("/jobs").headers["x-pagination"])["TotalCount"] == before + 1


def test_two_do_not_watch_one_folder(system: System, tmp_path: Path) -> None:
    with Folder(tmp_path).watched():
        second = run("drop", str(tmp_path), "--once", cwd=system.place)
    assert (second.returncode, "another carecase drop watches it" in second.stderr) == (2, True)


def test_items_that_failed_are_mended_in_a_file_of_their_own_and_sent(system: System, first_key: int) -> None:
    rows = [f"{first_key + n},{'maybe' if n == 1 else 'N'},2/{n % 28 + 1}/2026" for n in range(4)]
    (system.place / "mend.toml").write_text(MAPPING)
    (system.place / "mend.csv").write_text("\n".join(["Case No,DNC,Opened", "", *rows]))
    options = ("--mapping", "mend.toml")
    sent = run("submit", "mend.csv", *options, "--json", cwd=system.place)
    job = json.loads(sent.stdout)["jobId"]
    assert f"carecase failed {job} mend.csv --mapping mend.toml" in sent.stderr
    (system.place / "other.csv").write_text((system.place / "mend.csv").read_text() + "\n")
    other = run("failed", job, "other.csv", cwd=system.place)
    assert (other.returncode, "is not the file of job" in other.stderr) == (2, True)
    written = run("failed", job, "mend.csv", *options, cwd=system.place)
    assert (written.returncode, "1 of 4 items were not applied" in written.stdout) == (0, True), written.stderr
    assert f"carecase resend {job} mend.failed.csv --mapping mend.toml" in written.stderr
    mended = system.place / "mend.failed.csv"
    assert mended.read_text().splitlines() == [
        "Case No,DNC,Opened,_index,_line,_status,_reason",
        f"{first_key + 1},maybe,2/2/2026,1,4,422,do_Not_Contact: must be true or false",
    ]
    mended.write_text(mended.read_text().replace("maybe", "N"))
    ended = [run("resend", job, "mend.failed.csv", *options, "--json", cwd=system.place) for _ in range(2)]
    first, second = (json.loads(one.stdout) for one in ended)
    assert (first["jobId"], first["created"], ended[0].returncode) == (second["jobId"], 1, 0)
    assert keys_in(system, first_key) == 4
    whole = run("resend", job, "mend.csv", *options, cwd=system.place)
    assert (whole.returncode, "is the whole file" in whole.stderr) == (2, True)
    none = run("failed", job, "mend.csv", *options, "--resend", cwd=system.place)
    assert (none.returncode, "nothing to retry" in none.stderr) == (2, True)
