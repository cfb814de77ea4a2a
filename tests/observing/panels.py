"""The panels of Grafana's dashboard, as a Prometheus would fill them."""

import json
import math
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.observing.watch import Watch

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Shown:
    """A panel, and its series by their legends; each query of it has the legends of its own series in `found`."""

    title: str
    unit: str
    series: dict[str, Points]
    found: dict[str, list[str]]


def dashboard() -> dict[str, Any]:
    """The dashboard as it is deployed."""
    return dict(json.loads((GRAFANA / "dashboard.json").read_text()))


def made() -> str:
    """The dashboard as its script makes it."""
    return str(runpy.run_path(str(GRAFANA / "make.py"))["text"]())


def shown(watch: Watch, start: float, end: float, step: float) -> list[Shown]:
    """Every panel over a time, for all databases."""
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    return [_shown(watch, panel, (start, end, step)) for panel in panels]


def without_data(panels: list[Shown]) -> list[str]:
    """The queries that gave no number."""
    return [query for panel in panels for query, legends in panel.found.items() if not legends]


def _shown(watch: Watch, panel: dict[str, Any], over: tuple[float, float, float]) -> Shown:
    series: dict[str, Points] = {}
    found: dict[str, list[str]] = {}
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "20s").replace("$database", ".*")
        found[query] = []
        for one in watch.values(query, *over):
            points = [(float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))]
            if points:
                legend = _legend(target["legendFormat"], one["metric"])
                found[query].append(legend)
                series[legend] = points
    return Shown(panel["title"], panel["fieldConfig"]["defaults"]["unit"], series, found)


def _legend(pattern: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        pattern = pattern.replace(f"{{{{{name}}}}}", value)
    return pattern
