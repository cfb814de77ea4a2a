"""The client's commands, as an integration engineer types them beside a running system."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from tests.acceptance.system import System, run
from tests.builders import a_case

from carecase_worker.settings.loading import process_environment


def test_what_generate_makes_is_applied_whole(system: System) -> None:
    batch = run("generate", "3000", "--seed", "7", cwd=system.place).stdout
    assert batch == run("generate", "3000", "--seed", "7", cwd=system.place).stdout
    sent = run("submit", "-", "--json", cwd=system.place, input=batch)
    assert sent.returncode == 0, sent.stderr
    job = json.loads(sent.stdout)
    assert (job["state"], job["processed"], job["failed"]) == ("completed", 3000, 0)
    assert "cases/s" in sent.stderr


def test_submit_says_by_its_exit_status_whether_all_was_applied(system: System, first_key: int) -> None:
    file = system.place / "some-bad.ndjson.zst"
    lines = [a_case(first_key), a_case(first_key + 1, case_Status="far too long")]
    file.write_bytes(zstandard.compress("\n".join(json.dumps(line) for line in lines).encode()))
    sent = run("submit", file.name, cwd=system.place)
    assert sent.returncode == 1
    assert "1 created" in sent.stdout
    assert "1 failed" in sent.stdout
    job_id = sent.stdout.split()[1]

    failed = run("result", job_id, "--failed", "--format", "json", cwd=system.place)
    (item,) = json.loads(failed.stdout)
    assert (item["index"], item["status"]) == (1, 422)
    table = run("result", job_id, cwd=system.place)
    assert "1 × 201 Created" in table.stdout
    rows = list(csv.reader(io.StringIO(run("result", job_id, "--format", "csv", cwd=system.place).stdout)))
    assert rows[1] == ["0", str(first_key), "201", "Created"]
    assert "completed" in run("status", job_id, "--watch", cwd=system.place).stdout
    assert run("cancel", job_id, cwd=system.place).returncode == 2
    refused = run("retry", job_id, cwd=system.place)
    assert (refused.returncode, "nothing to retry" in refused.stderr) == (2, True)


def test_jobs_lists_what_was_sent(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)], database="demo_sqlite")
    system.final(job_id)
    arguments = ("jobs", "--state", "completed", "--database", "demo_sqlite", "--page-size", "1")
    assert job_id in run(*arguments, cwd=system.place).stdout
    (document,) = json.loads(run(*arguments, "--json", cwd=system.place).stdout)
    assert (document["jobId"], document["total"]) == (job_id, 1)
    assert run("jobs", "--state", "nonsense", cwd=system.place).returncode == 2


def test_submit_takes_whatever_can_be_read(system: System, first_key: int) -> None:
    lines = "\n".join(json.dumps(a_case(first_key + n)) for n in range(2)).encode()
    script = f"{sys.executable} -m carecase_worker submit"
    (system.place / "lines").write_bytes(lines)
    for shell in (f"gzip -c lines | {script} -", f"{script} lines", f"{script} <(cat lines)"):
        ran = subprocess.run(
            ["bash", "-c", shell],
            cwd=system.place,
            env=process_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stderr
        assert "2 of 2" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "no-such-file.json"), "cannot be read"),
        (("submit", "empty.json"), "empty"),
        (("submit", "one.json", "--database", "nowhere"), "vbasoftware-database"),
        (("submit", "one.json", "--api-key", "wrong"), "API key"),
        (("status", "not-a-job"), "no such job"),
    ],
)
def test_a_refusal_is_reported_in_one_line(system: System, arguments: tuple[str, ...], words: str) -> None:
    (system.place / "empty.json").write_text("[]")
    (system.place / "one.json").write_text(json.dumps([a_case(1)]))
    refused = run(*arguments, cwd=system.place)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_a_system_nearby_it_says_how_to_find_one(tmp_path: Path) -> None:
    refused = run("status", "x", cwd=tmp_path)
    assert refused.returncode == 2
    assert "CARECASE_URL" in refused.stderr


def test_the_schema_of_the_demo_fits(system: System) -> None:
    assert sorted(run("db", "check", cwd=system.place).stdout.splitlines()) == ["demo: fits", "demo_sqlite: fits"]
    urls = {name: database["url"] for name, database in system.stack["databases"].items()}
    config = system.place / "db.toml"
    config.write_text(f'[databases.demo_sqlite]\nurl = "{urls["demo_sqlite"]}"\n')
    assert run("db", "check", "--config", config.name, cwd=system.place).stdout == "demo_sqlite: fits\n"
