"""The alert rules as they are deployed: each fires when it should, and leads to a page that says what to do."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.needs import need

ROOT = Path(__file__).parents[2]
RULES, ALERTMANAGER = (ROOT / "deploy" / "prometheus" / name for name in ("rules.yaml", "alertmanager.yaml"))
TESTS, OBJECTIVES = (Path(__file__).with_name(name) for name in ("rules.test.yaml", "objectives.test.yaml"))
DOCS = ROOT / "docs"
FOREIGN = {"probe_ssl_earliest_cert_expiry"}
"""Metrics of other exporters."""

GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDED = [rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})


def checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_not_otherwise() -> None:
    promtool = need("promtool", "Debian's prometheus")
    checked(promtool, "check", "rules", str(RULES))
    checked(promtool, "test", "rules", str(TESTS))


def test_the_objectives_are_measured_exactly_over_each_window() -> None:
    checked(need("promtool", "Debian's prometheus"), "test", "rules", str(OBJECTIVES))


def test_the_example_of_alertmanager_is_right() -> None:
    checked(need("amtool", "Debian's prometheus-alertmanager"), "check-config", str(ALERTMANAGER))


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_is_tested_for_when_it_fires_and_for_when_it_does_not(name: str) -> None:
    cases = [one for test in yaml.safe_load(TESTS.read_text())["tests"] for one in test.get("alert_rule_test", ())]
    expected = [one["exp_alerts"] for one in cases if one["alertname"] == name]
    severities = {alert["exp_labels"]["severity"] for alerts in expected for alert in alerts}
    assert severities == {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}
    assert [] in expected


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_an_alert_is_tested_for_its_end(rule: dict[str, dict[str, str]]) -> None:
    """In some test it fires at one time, and no more at a later one."""

    def severities(case: dict[str, Any]) -> set[str]:
        return {alert["exp_labels"]["severity"] for alert in case["exp_alerts"]}

    def ends(test: dict[str, Any]) -> bool:
        cases = [one for one in test.get("alert_rule_test", ()) if one["alertname"] == rule["alert"]]
        fires = [rule["labels"]["severity"] in severities(case) for case in cases]
        return (True, False) in pairwise(fires)

    assert any(map(ends, yaml.safe_load(TESTS.read_text())["tests"]))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_an_alert_says_what_it_is_and_leads_to_a_page(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert {"summary", "description", "runbook_url"} == set(annotations)
    page = (DOCS / annotations["runbook_url"]).read_text()
    assert page.startswith(f"# {rule['alert']}: ")
    for part in ("**Severity.**", "**Symptoms.**", "**Effect on clients.**", "**What to do.**"):
        assert part in page


def test_the_list_of_alerts_has_each() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\(", (DOCS / "operations" / "runbooks" / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == NAMES


def test_the_rules_read_metrics_that_there_are() -> None:
    documented = set(re.findall(r"`(carecase_\w+)`", (DOCS / "reference" / "metrics.md").read_text()))
    expressions = " ".join(rule["expr"] for group in GROUPS for rule in group["rules"])
    read = {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in re.findall(r"\b[a-z]+_\w+(?=[{\[ )])", expressions)}
    assert {name for name in read if name.startswith(("carecase_", "probe_"))} <= documented | FOREIGN
    assert set(re.findall(r"carecase:[\w:]+", expressions)) <= set(RECORDED)


def test_the_page_of_objectives_has_each_record() -> None:
    page = (DOCS / "operations" / "objectives.md").read_text()
    assert [name for name in RECORDED if name.rpartition(":")[0] not in page] == []
