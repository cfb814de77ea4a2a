"""`carecase top` on the running system: a document for scripts, and a screen that can be resized and left."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.system import System, eventually, run
from tests.builders import a_case
from tests.ports import free_port
from tests.terminals import in_a_terminal

MEMBERS = {
    "database", "openJobs", "openItems", "openBytes", "openChunks", "itemsPerSecond", "oldestJob", "oldestJobSeconds",
    "breaker", "trouble",
}  # fmt: skip


def test_the_document_describes_the_running_system(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)])
    system.final(job_id)

    def shown() -> dict[str, Any]:
        ended = run("top", "--once", "--json", cwd=system.place)
        assert ended.returncode == 0, ended.stderr
        return dict(json.loads(ended.stdout))

    def workers() -> set[int]:
        return {one["pid"] for one in shown()["workers"]}

    eventually(lambda: workers() >= set(system.stack["processes"]["worker"]), what="every worker is shown")
    document = shown()
    assert set(document) == {"at", "databases", "workers", "chunks"}
    assert [one["database"] for one in document["databases"]] == ["demo", "demo_sqlite"]
    assert all(set(one) == MEMBERS for one in document["databases"])


def test_without_a_terminal_it_shows_once(system: System) -> None:
    ended = run("top", cwd=system.place)
    assert ended.returncode == 0
    assert "demo_sqlite" in ended.stdout
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize("end", ["q", "\x03", signal.SIGTERM])
def test_the_screen_is_resized_and_left(system: System, end: "str | signal.Signals") -> None:
    with in_a_terminal(system.place, "top", "--every", "0.2") as terminal:
        eventually(lambda: terminal.shows("demo_sqlite"), 60, "the screen is shown")
        assert "\x1b[?1049h" in terminal.text, "it has a screen of its own"
        terminal.text = ""
        terminal.resize(20, 60)
        eventually(lambda: terminal.shows("demo_sqlite"), 60, "the screen is drawn again")
        assert terminal.process.poll() is None
        if isinstance(end, str):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        status = terminal.process.wait(60)
        assert status == (128 + end if isinstance(end, signal.Signals) else 0)
        assert terminal.shows("\x1b[?1049l"), "the screen before is back"


def test_a_redis_that_is_away_is_named_with_exit_status_2(tmp_path: Path) -> None:
    variables = {
        "CARECASE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "CARECASE_DATABASES_DEMO_URL": "sqlite:///nowhere",
    }
    ended = run("top", "--once", cwd=tmp_path, variables=variables)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert variables["CARECASE_REDIS_URL"] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_json_without_once_is_refused(system: System) -> None:
    ended = run("top", "--json", cwd=system.place)
    assert ended.returncode == 2
    assert "--once" in ended.stderr
