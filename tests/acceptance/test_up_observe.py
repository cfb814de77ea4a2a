"""`carecase up --observe`: a Prometheus with the alert rules beside the system, or a word about the lack of one."""

import subprocess
from pathlib import Path

from tests.acceptance.system import eventually, run, running
from tests.needs import need
from tests.plain_http import http_get


def test_it_scrapes_every_role_with_the_rules_loaded_and_says_where(tmp_path: Path) -> None:
    need("prometheus", "Debian's prometheus")
    with running(tmp_path, "--observe") as system:
        url = system.stack["prometheus"]["url"]

        def asked(path: str) -> dict[str, list[dict[str, str]]]:
            return dict(http_get(f"{url}/api/v1/{path}").json()["data"])

        def states() -> set[str]:
            return {target["health"] for target in asked("targets")["activeTargets"]}

        eventually(lambda: states() == {"up"}, what="every role is scraped")
        assert {group["name"] for group in asked("rules")["groups"]} == {"carecase-alerts", "carecase-objectives"}
        eventually(lambda: f"{url}/alerts" in (tmp_path / "up.log").read_text(), what="it says where")
        assert len(system.stack["processes"]["prometheus"]) == 1
    assert system.process.returncode == 0


def test_without_a_prometheus_it_says_what_to_do_and_starts_nothing(tmp_path: Path) -> None:
    refused: subprocess.CompletedProcess[str] = run("up", "--observe", cwd=tmp_path, variables={"PATH": str(tmp_path)})
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "--observe: there is no program `prometheus` in PATH. Install it (Debian: apt install prometheus;"
    )
    assert not (tmp_path / ".carecase" / "stack.json").exists()
