"""What `carecase up` shows once everything runs, if it is to send a sample first."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.peers import Peer, Reply, a_job, answering, problem

from carecase_worker.cli.serving.demo import show
from carecase_worker.embedded.system import Started


def shown(place: Path, peer: Peer, holds_cases: bool) -> list[str]:
    """The lines that are shown for a system whose intake is a peer."""
    stack, written = place / "stack.json", io.StringIO()
    client = {"name": "demo", "api_key": "k", "bearer": "t", "databases": ["demo"]}
    stack_json = {
        "intake": {"url": peer.url},
        "clients": [client],
        "flower": {"url": "http://flower", "user": "u", "password": "p"},
        "databases": {"demo": {"dialect": "postgresql"}},
    }
    stack.write_text(json.dumps(stack_json))
    show(Started(stack, holds_cases, notes=("A note.",)), True, Console(file=written, width=200))
    return written.getvalue().splitlines()


def test_a_sample_that_is_refused_is_reported_and_the_system_runs_on(tmp_path: Path) -> None:
    with answering(problem(403, "You may not.")) as peer:
        lines = shown(tmp_path, peer, holds_cases=False)
    assert lines[0].startswith("The sample could not be sent: ")
    assert "You may not." in lines[0]
    assert f"  API         {peer.url}/docs" in lines
    assert lines[-3:] == ["A note.", "", "Running. Ctrl-C stops it."]


@pytest.mark.parametrize(("holds_cases", "jobs"), [(True, []), (False, [a_job()])], ids=["cases", "jobs"])
def test_no_sample_is_sent_where_there_are_cases_or_jobs(tmp_path: Path, holds_cases: bool, jobs: list[object]) -> None:
    """Cases outlive their jobs, and a job that is queued has no case yet; the sample has the same keys as theirs."""
    with answering(Reply(200, {"data": jobs})) as peer:
        lines = shown(tmp_path, peer, holds_cases)
    assert lines[0] == "No sample is sent: this data directory was used before, and the sample would overwrite cases."
    assert [call for call in peer.calls if call.startswith("PUT")] == []


def test_the_sample_goes_to_the_system_that_was_started_whatever_the_shell_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables may be those of production, and the sample has the keys of real cases."""
    with answering() as elsewhere, answering(Reply(200, {"data": [a_job()]})) as peer:
        monkeypatch.setenv("CARECASE_URL", elsewhere.url)
        monkeypatch.setenv("CARECASE_API_KEY", "of-production")
        shown(tmp_path, peer, holds_cases=False)
    assert elsewhere.calls == []
    assert [one.headers["x-api-key"] for one in peer.received] == ["k"]
