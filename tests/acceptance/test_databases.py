"""`carecase db` and a worker, on target databases of every condition."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.system import COMMAND
from tests.integration.targets.databases import a_database, engine_at, run
from tests.ports import free_port
from tests.services import Services

from carecase_worker.settings.loading import process_environment
from carecase_worker.targets.schema.migration import upgrade

SECRET = "Winterfylleth"


@pytest.fixture(scope="module")
def environment(servers: Services, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Five databases: empty, newer, newer and changed, away, and one that refuses the password."""
    place, own = tmp_path_factory.mktemp("databases"), a_database(servers)
    newer, changed = (f"sqlite:///{place}/{name}.sqlite" for name in ("newer", "changed"))
    for url in (newer, changed):
        with engine_at(url) as engine:
            upgrade(engine)
        run(url, "UPDATE carecase_schema SET version_num = '9999'", "ALTER TABLE care_case ADD COLUMN later INTEGER")
    run(changed, "ALTER TABLE care_case DROP COLUMN group_id")
    urls = {
        "AWAY": f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/d",
        "CHANGED": changed,
        "EMPTY": own,
        "NEWER": newer,
        "REFUSED": own.replace(":secret@", f":{SECRET}@"),
    }
    variables = {f"CARECASE_DATABASES_{name}_URL": url for name, url in urls.items()}
    redis = {
        "CARECASE_REDIS_URL": servers.redis_url,
        "CARECASE_REDIS_PREFIX": "dbs:",
        "CARECASE_BROKER_PREFIX": "dbsb:",
    }
    return {**process_environment(), **variables, **redis}


def carecase(environment: dict[str, str], place: Path, *arguments: str) -> tuple[int, dict[str, list[str]]]:
    """Run a command; its exit status, and its lines by the database that they are about."""
    ran = subprocess.run(
        [*COMMAND, *arguments], cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in ran.stderr
    assert SECRET not in ran.stdout + ran.stderr
    printed: dict[str, list[str]] = {}
    for line in ran.stdout.splitlines():
        printed.setdefault(line.partition(": ")[0], []).append(line.partition(": ")[2])
    return ran.returncode, printed


def test_db_shows_each_database_and_is_not_delayed_by_one(environment: dict[str, str], tmp_path: Path) -> None:
    away, refused = "refuses connections", "rejects the user or the password"
    status, printed = carecase(environment, tmp_path, "db", "check")
    assert status == 1
    assert printed["empty"][0] == "it is at revision none, not 0001: run carecase db upgrade"
    assert printed["newer"] == ["fits (it is at revision 9999, newer than this version's 0001, and only adds to it)"]
    assert "run the newer version" in printed["changed"][0]
    assert printed["changed"][1] == "it lacks column care_case.group_id"
    assert away in printed["away"][0]
    assert refused in printed["refused"][0]

    status, printed = carecase(environment, tmp_path, "db", "upgrade")
    assert status == 1
    assert printed["empty"] == ["up to date"]
    for name in ("newer", "changed"):
        (line,) = printed[name]
        assert "revision 9999, newer than this version's 0001" in line
    assert away in printed["away"][0]
    assert refused in printed["refused"][0]

    status, printed = carecase(environment, tmp_path, "db", "current")
    assert status == 1
    assert printed["empty"] == ["database at revision 0001, this version at 0001"]
    assert printed["newer"] == ["database at revision 9999, newer, this version at 0001"]
    assert carecase(environment, tmp_path, "db", "current", "--database", "newer")[0] == 0
    assert carecase(environment, tmp_path, "db", "check", "--database", "newer")[0] == 0


def test_a_worker_starts_whatever_its_databases_are_like_and_says_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with subprocess.Popen(
        [*COMMAND, "worker"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as worker:
        assert worker.stderr is not None
        printed: dict[str, str] = {}
        output = ""
        for line in worker.stderr:
            output += line
            page = json.loads(line)
            if page["event"] == "database as found at start":
                printed[page["database"]] = page["reason"]
            if "ready" in page["event"]:
                break
        worker.send_signal(signal.SIGTERM)
        output += worker.stderr.read()
    assert worker.returncode == 0
    assert set(printed) >= {"away", "changed", "newer", "refused"}
    assert "refuses connections" in printed["away"]
    assert "lacks column care_case.group_id" in printed["changed"]
    assert "only adds to it" in printed["newer"]
    assert SECRET not in output


def test_a_worker_refuses_a_url_that_cannot_be_used(environment: dict[str, str], tmp_path: Path) -> None:
    wrong = {**environment, "CARECASE_DATABASES_AWAY_URL": "postgresql://u@h/d?sslmod=require"}
    ran = subprocess.run(
        [*COMMAND, "worker"], cwd=tmp_path, env=wrong, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 2
    assert "databases.away.url: has sslmod, " in ran.stderr
