"""What `carecase up` shows once everything runs, if it is to send a sample first."""

import io
import json
from pathlib import Path

from rich.console import Console
from tests.peers import answering, problem

from carecase_worker.cli.serving.demo import show
from carecase_worker.embedded.system import Started


def test_a_sample_that_is_refused_is_reported_and_the_system_runs_on(tmp_path: Path) -> None:
    stack, shown = tmp_path / "stack.json", io.StringIO()
    with answering(problem(403, "You may not.")) as peer:
        client = {"name": "demo", "api_key": "k", "bearer": "t", "databases": ["demo"]}
        stack_json = {
            "intake": {"url": peer.url},
            "clients": [client],
            "flower": {"url": "http://flower", "user": "u", "password": "p"},
            "databases": {"demo": {"dialect": "postgresql"}},
        }
        stack.write_text(json.dumps(stack_json))
        show(Started(stack, holds_cases=False, notes=("A note.",)), True, Console(file=shown, width=200))
    lines = shown.getvalue().splitlines()
    assert lines[0].startswith("The sample could not be sent: ")
    assert "You may not." in lines[0]
    assert f"  API         {peer.url}/docs" in lines
    assert lines[-3:] == ["A note.", "", "Running. Ctrl-C stops it."]
