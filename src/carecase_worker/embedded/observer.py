"""Prometheus for the embedded system, if installed: it scrapes every role, with the alert rules."""

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from carecase_worker.embedded.children import Command
from carecase_worker.embedded.servers import write_private
from carecase_worker.errors import StackError

ROLE = "prometheus"
_INTERVAL = "5s"


def prometheus_program() -> str:
    """Return the path of Prometheus. Raises StackError if there is none."""
    found = shutil.which("prometheus")
    if found is None:
        raise StackError(
            "--observe: there is no program `prometheus` in PATH. Install it (Debian: apt install prometheus; others:"
            " prometheus.io/download), or leave --observe out."
        )
    return found


def prometheus(program: str, data_dir: Path, port: int, targets: Mapping[str, Sequence[int]], logs: Path) -> Command:
    """Configure Prometheus in a directory; `targets` are the local ports to scrape, by the name of the job."""
    data_dir.mkdir(parents=True, exist_ok=True)
    rules = data_dir / "rules.yaml"
    rules.write_text((resources.files("carecase_worker.embedded") / "rules.yaml").read_text("utf-8"), "utf-8")
    config = {  # JSON is YAML
        "global": {"scrape_interval": _INTERVAL, "evaluation_interval": _INTERVAL},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{one}" for one in ports]}]}
            for job, ports in targets.items()
        ],
    }
    file = data_dir / "prometheus.yaml"
    write_private(file, json.dumps(config, indent=2) + "\n")
    argv = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={data_dir / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Command(ROLE, argv, {}, logs / "prometheus.log")
