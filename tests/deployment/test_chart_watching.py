"""The chart has Prometheus scrape the service, and its rules and scalers ask for metrics that exist."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.deployment.chart import NAMESPACE, rendered
from tests.deployment.chart_schema import CHART
from tests.deployment.rendering import DESCRIBED, ROOT
from tests.needs import need

_RULES = CHART / "files" / "rules.yaml"


def test_prometheus_scrapes_intakes_and_workers_by_their_services() -> None:
    release = rendered("production")
    for monitor in release.of("ServiceMonitor"):
        assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [one for one in release.of("Service") if wanted <= one["metadata"]["labels"].items()]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
        assert endpoint["path"] in DESCRIBED
        assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("15s", "10s")
        assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}, (
            "another release is watched by its own"
        )
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": monitor["metadata"]["name"]}]
    assert {one["metadata"]["name"] for one in release.of("ServiceMonitor")} == {"carecase-intake", "carecase-worker"}
    assert release.one("ServiceMonitor", "carecase-worker")["spec"]["podTargetLabels"] == ["worker-group"]
    workers = release.one("Service", "carecase-worker")["spec"]
    assert workers["publishNotReadyAddresses"], "a worker that is not ready is one to look at"


def test_keda_asks_for_the_open_items_of_the_groups_databases() -> None:
    release = rendered("production")
    (trigger,) = release.one("ScaledObject", "carecase-worker-north")["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    assert 'carecase_open_items{namespace="care",service="carecase-intake",database=~"north"}' in query
    assert trigger["metadata"]["threshold"] == "100000"
    assert release.one("Service", "carecase-intake")
    assert query.count("(") == query.count(")")
    assert re.search(r"\* on \(database\) \(1 - max by \(database\) \(carecase_database_away\{", query), (
        "no worker brings it back"
    )


def test_without_an_answer_of_prometheus_keda_keeps_as_many_workers_as_the_values_say() -> None:
    more = "worker: {autoscaling: {keda: {authenticationRef: prometheus, fallbackReplicas: 3}}}"
    scaler = rendered("production", more).one("ScaledObject", "carecase-worker-default")["spec"]
    (trigger,) = scaler["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false", "no series is no answer, and not no work"
    assert trigger["authenticationRef"] == {"name": "prometheus"}
    assert scaler["fallback"] == {"failureThreshold": 4, "replicas": 3}
    assert scaler["pollingInterval"] == 15


@pytest.mark.parametrize("source", ["rules", "query"])
def test_every_metric_that_is_asked_for_exists(source: str) -> None:
    known = set(
        re.findall(r"^\| `(carecase_\w+)`", (ROOT / "docs" / "reference" / "metrics.md").read_text(), re.MULTILINE)
    )
    recorded = set(re.findall(r"record: (\S+)", _RULES.read_text()))
    text = _RULES.read_text() if source == "rules" else json.dumps(rendered("production").of("ScaledObject"))
    asked = set(re.findall(r"\b(carecase_\w+?)(?:_bucket|_sum|_count)?\b(?=[\s{()\[]|$)", text))
    assert asked
    assert asked - recorded <= known


def test_the_rules_are_those_of_the_repository() -> None:
    theirs = ROOT / "deploy" / "prometheus" / "rules.yaml"
    (rule,) = rendered("production").of("PrometheusRule")
    own = _RULES.read_text().replace("absent(carecase_store_up)", 'absent(carecase_store_up{namespace="care"})')
    assert rule["spec"] == yaml.safe_load(own), "as they stand, with their {{ $labels }}"
    if theirs.exists():
        assert _RULES.read_bytes() == theirs.read_bytes(), f"cp {theirs.relative_to(ROOT)} {_RULES.relative_to(ROOT)}"


def test_intakes_that_are_gone_are_reported_though_another_namespace_has_some(tmp_path: Path) -> None:
    promtool = need("promtool", "Debian's prometheus")
    (rule,) = rendered("production").of("PrometheusRule")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    (alert,) = [one for group in rule["spec"]["groups"] for one in group["rules"] if one.get("alert") == "NoIntakes"]
    firing = {
        "exp_labels": {"namespace": NAMESPACE, **alert["labels"]},
        "exp_annotations": alert["annotations"],
    }
    gone_and_back = {"series": f'carecase_store_up{{namespace="{NAMESPACE}"}}', "values": "1x5 stale _x9 1x20"}
    other = {"series": 'carecase_store_up{namespace="other"}', "values": "1x40"}
    expectations = [
        {"alertname": "NoIntakes", "eval_time": at, "exp_alerts": alerts}
        for at, alerts in (("5m", []), ("10m", [firing]), ("20m", []))
    ]
    test = {"interval": "1m", "input_series": [gone_and_back, other], "alert_rule_test": expectations}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_leads_to_a_page() -> None:
    base = "https://docs.example.org/carecase"
    release = rendered("production", f"monitoring: {{prometheusRule: {{runbookBaseUrl: {base}/}}}}")
    (rule,) = release.of("PrometheusRule")
    alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
    for one in alerts:
        url = one["annotations"]["runbook_url"]
        assert url.startswith(f"{base}/")
        assert (ROOT / "docs" / url.removeprefix(f"{base}/").partition("#")[0]).is_file(), one["alert"]
