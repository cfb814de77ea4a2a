"""Grafana's dashboard as a file: it is what its script makes, and of the form that Grafana imports."""

import json
import re

from tests.json_schema import validate
from tests.observing.panels import GRAFANA, dashboard, made
from tests.observing.watch import DEPLOYED

TEXT = {"type": "string", "minLength": 1}
PLACE = {
    "type": "object",
    "required": ["x", "y", "w", "h"],
    "properties": {name: {"type": "integer", "minimum": 0, "maximum": 200} for name in ("x", "y", "w", "h")},
    "additionalProperties": False,
}
SOURCE = {"type": "object", "required": ["type", "uid"], "properties": {"type": {"const": "prometheus"}, "uid": TEXT}}
TARGET = {
    "type": "object",
    "required": ["refId", "expr", "legendFormat", "datasource"],
    "properties": {"refId": {"pattern": "^[A-Z]$"}, "expr": TEXT, "legendFormat": TEXT, "datasource": SOURCE},
}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos"],
    "properties": {"id": {"type": "integer"}, "type": {"enum": ["row", "timeseries"]}, "title": TEXT, "gridPos": PLACE},
    "if": {"properties": {"type": {"const": "timeseries"}}},
    "then": {
        "required": ["targets", "fieldConfig", "options", "datasource"],
        "properties": {
            "targets": {"type": "array", "minItems": 1, "items": TARGET},
            "datasource": SOURCE,
            "fieldConfig": {"required": ["defaults", "overrides"], "properties": {"defaults": {"required": ["unit"]}}},
        },
    },
}
DASHBOARD = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "templating", "time"],
    "properties": {"schemaVersion": {"type": "integer", "minimum": 36}, "panels": {"type": "array", "items": PANEL}},
}
"""What Grafana needs of a dashboard (its documentation, "Dashboard JSON model")."""


def test_the_dashboard_is_as_its_script_makes_it() -> None:
    assert (GRAFANA / "dashboard.json").read_text() == made(), "run: python deploy/grafana/make.py"


def test_the_dashboard_is_of_the_form_that_grafana_imports() -> None:
    document = dashboard()
    validate(document, DASHBOARD)
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_the_objectives_are_those_of_the_rules_and_of_the_page() -> None:
    """The budget that the alerts go by is in the title of the panel that shows its use, and on the page."""
    rules = (DEPLOYED / "rules.yaml").read_text()
    page = (GRAFANA.parents[1] / "docs" / "operations" / "objectives.md").read_text()
    titles = {panel["title"]: json.dumps(panel) for panel in dashboard()["panels"]}
    for record in ("batches_refused_or_late", "jobs_late"):
        (budget,) = set(re.findall(rf"carecase:{record}:ratio_rate3d > (0\.\d+)", rules))
        (title,) = [name for name, panel in titles.items() if f"carecase:{record}:" in panel]
        assert f"(objective: {float(budget) * 100:g} %)" in title
        assert f"| {100 - float(budget) * 100:g} % |" in page


def test_no_two_panels_lie_over_each_other() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(at["x"] + at["w"] <= 24 for at in places)


def test_every_variable_that_queries_use_is_defined() -> None:
    document = dashboard()
    defined = {one["name"] for one in document["templating"]["list"]}
    assert defined == {"datasource", "database"}
