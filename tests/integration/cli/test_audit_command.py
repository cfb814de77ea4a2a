"""`carecase audit verify`: what it says of a log, and how it ends."""

import json
from pathlib import Path

import pytest
from tests.integration.audit.logs import lines_of, recorded
from tests.integration.cli.commands import Carecase

KEYS = "k1:" + "A" * 43 + "="
NOTE = "Store that elsewhere, and give it as --noted next time: truncation at the end is detected only by it."


def configuration(place: Path) -> None:
    (place / "carecase.toml").write_text(f"[audit]\ndirectory = '{place / 'log'}'\n")


def test_a_log_that_is_whole_and_one_that_is_not(carecase: Carecase, tmp_path: Path) -> None:
    recorded(tmp_path / "log", 1, 2, 3, max_file_bytes=1)
    configuration(tmp_path)
    last = json.loads(lines_of(tmp_path / "log")[-1])
    ran = carecase("audit", "verify", "--config", "carecase.toml")
    end = f"3:{last['hash']}"
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        f"3 records, 1 to 3, the last at {last['at']}: nothing was modified, removed or inserted.\n"
        f"It ends with {end}\n{NOTE}\n"
    )
    (tmp_path / "log" / "audit-000000000002.jsonl").unlink()
    ran = carecase("audit", "verify", "log", "--noted", end)
    text = f"2 records, 1 to 3, the last at {last['at']}: 1 faults.\nIt ends with {end}\n{NOTE}\n"
    assert (ran.status, ran.out) == (1, f"fault record 2 is missing\n{text}")
    (tmp_path / "log" / "audit-000000000003.jsonl").unlink()
    assert carecase("audit", "verify", "log").status == 0, "nobody can tell"
    first = json.loads(lines_of(tmp_path / "log")[0])["hash"]
    ran = carecase("audit", "verify", "log", "--noted", f"1:{first}", "--noted", end, "--json")
    assert ran.status == 1
    assert json.loads(ran.out) == {
        "records": 1, "first": f"1:{first}", "last": f"1:{first}", "faultCount": 1, "notes": [],
        "faults": ["record 3 is missing or lacks the hash that was noted: truncated, or rewritten"],
    }  # fmt: skip


def test_what_a_crash_broke_off_is_reported_by_file_and_line(carecase: Carecase, tmp_path: Path) -> None:
    recorded(tmp_path / "log", 1)
    with (tmp_path / "log" / "audit.jsonl").open("ab") as file:
        file.write(b'{"number":2')
    ran = carecase("audit", "verify", "log")
    fault = "fault line 2 of audit.jsonl is not a record, or was truncated and is the last line\n"
    assert (ran.status, ran.out.startswith(fault)) == (1, True)
    recorded(tmp_path / "log", 2)
    ran = carecase("audit", "verify", "log")
    note = "note  line 2 of audit.jsonl was truncated by a crash, as the next record says\n"
    assert (ran.status, ran.out.startswith(note)) == (0, True)


def test_keys_come_from_the_configuration(carecase: Carecase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "log", 1, keys=KEYS)
    assert carecase("audit", "verify", "log").status == 1
    monkeypatch.setenv("CARECASE_AUDIT_KEYS", KEYS)
    assert carecase("audit", "verify", "log").status == 0


def test_many_faults_are_reported_up_to_a_hundred(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "audit.jsonl").write_bytes(b"x\n" * 102)
    ran = carecase("audit", "verify", "log")
    assert ran.status == 1
    lines = ran.out.splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("fault there is no record in log", "fault … and 2 more", 102)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("log",), "audit.directory: log cannot be read (No such file or directory)"),
        ((), "audit.directory: is not set, so there is no audit log; name a directory with one"),
        (("log", "--noted", "3:abc"), "give it as printed by carecase audit verify: NUMBER:HASH"),
        (("log", "--noted", f"0:{'a' * 64}"), "give it as printed by carecase audit verify: NUMBER:HASH"),
    ],
)
def test_what_cannot_be_verified_is_reported(carecase: Carecase, arguments: tuple[str, ...], words: str) -> None:
    ran = carecase("audit", "verify", *arguments)
    assert (ran.status, words in " ".join(ran.err.split())) == (2, True), ran


def test_a_directory_that_is_named_is_the_one_that_is_verified(carecase: Carecase, tmp_path: Path) -> None:
    """Not the log of the configuration, which is whole: whoever checks a copy would be told that the copy is."""
    recorded(tmp_path / "log", 1)
    recorded(tmp_path / "copy", 1, 2, 3, max_file_bytes=1)
    (tmp_path / "copy" / "audit-000000000002.jsonl").unlink()
    configuration(tmp_path)
    ran = carecase("audit", "verify", "copy", "--config", "carecase.toml")
    assert (ran.status, ran.out.splitlines()[0]) == (1, "fault record 2 is missing")
