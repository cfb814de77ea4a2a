"""The check of the locks against known vulnerabilities: by OSV's own rules, on the advisories as they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.advisories.__main__ import FILE, check, locked, read_database
from tests.advisories.osv import is_affected

FLASK = {
    "package": {"name": "Flask", "ecosystem": "PyPI"},
    "ranges": [
        {"type": "GIT", "events": [{"introduced": "0"}]},
        {
            "type": "ECOSYSTEM",
            "events": [{"introduced": "0"}, {"fixed": "2.2.5"}, {"introduced": "2.3.0"}, {"fixed": "2.3.2"}],
        },
    ],
    "versions": ["2.2.4", "1.0.dev3", "what is no version"],
}
LINE = "flask 2.2.4: PYSEC-2023-62, CVE-2023-30861; mended in 2.2.5, 2.3.2"
NEEDLESS = "PYSEC-2023-62: is accepted, and nothing is affected by it any more"
ADVISORY = {"id": "PYSEC-2023-62", "aliases": ["CVE-2023-30861"], "affected": [FLASK]}


@pytest.mark.parametrize(
    ("version", "is_one"),
    [
        ("0.1", True), ("2.2.4", True), ("2.2.5", False), ("2.2.5.post1", False), ("2.2.5rc1", True), ("2.2.10", False),
        ("2.3.0", True), ("2.3.0rc1", False), ("2.3.1", True), ("2.3.2", False), ("10.0", False), ("1.0.dev3", True),
    ],
)  # fmt: skip
def test_a_version_is_affected_from_where_it_was_introduced_to_before_it_was_fixed(version: str, is_one: bool) -> None:
    assert is_affected(FLASK, version) is is_one


@pytest.mark.parametrize(("version", "is_one"), [("1.9", False), ("2.0", True), ("2.5", True), ("2.6", False)])
def test_the_last_affected_version_is_one_of_them(version: str, is_one: bool) -> None:
    events = [{"introduced": "2.0"}, {"last_affected": "2.5"}]
    assert is_affected({"ranges": [{"type": "ECOSYSTEM", "events": events}]}, version) is is_one


def test_without_a_range_the_versions_that_are_listed_count_however_they_are_written() -> None:
    part = {"versions": ["1.0", "2.0.0"]}
    assert [is_affected(part, version) for version in ("1.0", "1.0.0", "2.0", "1.1")] == [True, True, True, False]


def lock(place: Path, *pins: str) -> Path:
    lines = (f"{pin} \\\n    --hash=sha256:{'0' * 64}\n    # via something" for pin in pins)
    (place / "requirements.lock").write_text("\n".join(lines))
    return place


@pytest.mark.parametrize(
    ("pin", "changes", "accepted", "lines"),
    [
        ("flask==2.2.4", {}, {}, [LINE]),
        ("flask==2.2.4 ; python_version < '4'", {}, {}, [LINE]),
        ("flask==2.2.5", {}, {}, []),
        ("flask-x==2.2.4", {}, {}, []),
        ("flask==2.2.4", {"withdrawn": "2023-07-01T00:00:00Z"}, {}, []),
        ("flask==2.2.4", {"affected": [{**FLASK, "package": {"name": "flask", "ecosystem": "npm"}}]}, {}, []),
        ("flask==2.2.4", {}, {"PYSEC-2023-62": "no sessions here"}, []),
        ("flask==2.2.5", {}, {"PYSEC-2023-62": "old"}, [NEEDLESS]),
    ],
)  # fmt: skip
def test_what_is_affected_is_reported_with_what_mends_it(
    tmp_path: Path, pin: str, changes: dict[str, Any], accepted: dict[str, str], lines: list[str]
) -> None:
    assert check(lock(tmp_path, "other==1.0", pin), [{**ADVISORY, **changes}], accepted) == lines


def test_every_lock_but_that_of_the_lowest_versions_is_looked_at(tmp_path: Path) -> None:
    lock(tmp_path, "one==1.0")
    (tmp_path / "requirements-image.lock").write_text("One==2.0 \\\ntwo-parts==3.0\n")
    (tmp_path / "requirements-lowest.lock").write_text("one==0.1 \\\n")
    assert locked(tmp_path) == {"one": {"1.0", "2.0"}, "two-parts": {"3.0"}}


def test_the_file_is_of_the_advisory_database_and_of_what_is_locked() -> None:
    document = json.loads(FILE.read_text())
    assert document["source"]["repository"] == "https://github.com/pypa/advisory-database"
    assert len(document["source"]["commit"]) == 40
    names = {part["package"]["name"].lower() for one in document["advisories"] for part in one["affected"]}
    assert names, "an empty file finds nothing"
    assert {"cryptography", "tornado", "celery", "redis"} <= names


def test_the_database_is_read_for_the_packages_that_are_wanted(tmp_path: Path) -> None:
    for name in ("flask", "other"):
        (tmp_path / "vulns" / name).mkdir(parents=True)
        package = f"package: {{name: {name}, ecosystem: PyPI}}"
        text = f"id: {name}-1\ndetails: long\naffected:\n- {package}\n  versions: ['1.0']\n"
        (tmp_path / "vulns" / name / f"{name}-1.yaml").write_text(text)
    (found,) = read_database(tmp_path, {"flask"})
    part = {"package": {"name": "flask", "ecosystem": "PyPI"}, "versions": ["1.0"], "ranges": []}
    assert found == {"id": "flask-1", "affected": [part]}
