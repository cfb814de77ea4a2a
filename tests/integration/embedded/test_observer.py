"""Prometheus beside an embedded system: on this machine only, with every role as a target."""

import json
from pathlib import Path

from carecase_worker.embedded.observer import prometheus


def test_prometheus_listens_here_only_and_scrapes_each_role_under_its_name(tmp_path: Path) -> None:
    targets = {"carecase-intake": [8080], "carecase-worker": [9101, 9102]}
    command = prometheus("/bin/prometheus", tmp_path / "p", 9090, targets, tmp_path)
    assert command.argv == [
        "/bin/prometheus",
        f"--config.file={tmp_path}/p/prometheus.yaml",
        f"--storage.tsdb.path={tmp_path}/p/data",
        "--web.listen-address=127.0.0.1:9090",
    ]
    scraped = json.loads((tmp_path / "p" / "prometheus.yaml").read_text())["scrape_configs"]
    assert {one["job_name"]: one["static_configs"][0]["targets"] for one in scraped} == {
        "carecase-intake": ["127.0.0.1:8080"], "carecase-worker": ["127.0.0.1:9101", "127.0.0.1:9102"],
    }  # fmt: skip
