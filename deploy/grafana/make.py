"""The dashboard for Grafana: `python deploy/grafana/make.py` writes dashboard.json beside this file.

Each panel has a title, a unit of Grafana's, and queries with the legend of their series. What is of the service is told
alike by every intake, hence `max`; what is of a process is summed.
"""

import json
from pathlib import Path
from typing import Any

Panel = tuple[str, str, list[tuple[str, str]]]

_DB = 'database=~"$database"'
_RATE = "$__rate_interval"


def _quantiles(metric: str, by: str = "", of: str = "sum", where: str = "") -> list[tuple[str, str]]:
    """Return the median and the 99th percentile of a histogram; `by` is a label to tell apart, or nothing."""
    labels = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return [
        (f"histogram_quantile({share}, {of} by ({labels}) (rate({metric}_bucket{where}[{_RATE}])))", f"{legend}{name}")
        for share, name in ((0.5, "median"), (0.99, "99 %"))
    ]


ROWS: dict[str, list[Panel]] = {
    "Objectives": [
        (
            "Batches refused or late (objective: 0.1 %)",
            "percentunit",
            [(f"carecase:batches_refused_or_late:ratio_rate{window}", window) for window in ("5m", "1h", "3d")],
        ),
        (
            "Jobs final too late (objective: 1 %)",
            "percentunit",
            [(f"carecase:jobs_late:ratio_rate{window}", window) for window in ("5m", "1h", "3d")],
        ),
        ("Alerts that fire", "short", [('count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}")]),
    ],
    "Batches": [
        (
            "Responses to batches",
            "reqps",
            [(f'sum by (status) (rate(carecase_http_requests_total{{method="PUT"}}[{_RATE}]))', "{{status}}")],
        ),
        ("Last byte until accepted", "s", _quantiles("carecase_acceptance_seconds")),
        (
            "Held responses, connections",
            "short",
            [("sum(carecase_long_polls)", "long polls"), ("sum(carecase_connections)", "connections")],
        ),
    ],
    "Jobs": [
        ("Accepted until final", "s", _quantiles("carecase_job_seconds", "database", "max", f"{{{_DB}}}")),
        (
            "Accepted until the first attempt",
            "s",
            _quantiles("carecase_job_wait_seconds", "database", "max", f"{{{_DB}}}"),
        ),
        (
            "Age of the oldest job that is not final",
            "s",
            [(f"max by (database) (carecase_oldest_job_age_seconds{{{_DB}}})", "{{database}}")],
        ),
    ],
    "Work": [
        (
            "Items by outcome",
            "ops",
            [
                (
                    f"sum by (outcome) (max by (database, outcome) (rate(carecase_items_total{{{_DB}}}[{_RATE}])))",
                    "{{outcome}}",
                )
            ],
        ),
        (
            "Backlog, share of its limit",
            "percentunit",
            [
                (
                    f"max by (database) (carecase_backlog_jobs{{{_DB}}}) / scalar(max(carecase_backlog_max_jobs))",
                    "{{database}} jobs",
                ),
                (
                    f"max by (database) (carecase_backlog_bytes{{{_DB}}}) / scalar(max(carecase_backlog_max_bytes))",
                    "{{database}} bytes",
                ),
            ],
        ),
        (
            "Databases that are away, breakers that are open",
            "short",
            [
                (f"max by (database) (carecase_database_away{{{_DB}}})", "{{database}} away"),
                (f"max by (database) (carecase_circuit_breaker_open{{{_DB}}})", "{{database}} breaker"),
            ],
        ),
    ],
    "Workers": [
        (
            "Time of a stage of an attempt (mean)",
            "s",
            [
                (
                    f"sum by (stage) (rate(carecase_chunk_stage_seconds_sum[{_RATE}]))"
                    f" / sum by (stage) (rate(carecase_chunk_stage_seconds_count[{_RATE}]))",
                    "{{stage}}",
                )
            ],
        ),
        (
            "Attempts that failed, by class",
            "ops",
            [(f'sum by (failure) (rate(carecase_chunk_attempts_total{{{_DB},failure!=""}}[{_RATE}]))', "{{failure}}")],
        ),
        (
            "Workers, and chunks that they lost",
            "short",
            [
                ("max(carecase_workers)", "workers"),
                (
                    f"sum(max by (database) (increase(carecase_lease_expirations_total{{{_DB}}}[{_RATE}])))",
                    "leases that ended",
                ),
                (
                    f"sum(max by (database) (increase(carecase_reclaimed_chunks_total{{{_DB}}}[{_RATE}])))",
                    "reclaimed chunks",
                ),
                (f"sum(increase(carecase_poison_items_total{{{_DB}}}[{_RATE}]))", "poison items"),
            ],
        ),
    ],
    "Redis and hosts": [
        ("Redis takes writes", "short", [("min(carecase_store_up)", "all intakes")]),
        ("Round trips to Redis (99 %)", "s", _quantiles("carecase_redis_round_trip_seconds", "operation")[1:]),
        (
            "Clocks ahead of Redis's",
            "s",
            [("max by (role, host) (carecase_clock_offset_seconds)", "{{role}} {{host}}")],
        ),
    ],
}

_WIDTH, _HEIGHT, _COLUMNS = 8, 7, 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, held in ROWS.items():
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row, "collapsed": False, "gridPos": place, "panels": []}
        )
        for number, (title, unit, queries) in enumerate(held):
            place = {"x": _WIDTH * number, "y": top + 1, "w": _WIDTH, "h": _HEIGHT}
            panels.append(_panel(len(panels) + 1, title, unit, queries) | {"gridPos": place})
        top += 1 + _HEIGHT
    variables = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "database",
            "label": "Database",
            "type": "query",
            "datasource": _SOURCE,
            "query": "label_values(carecase_backlog_jobs, database)",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ]
    return {
        "uid": "carecase-worker",
        "title": "carecase-worker",
        "tags": ["carecase"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    }


def _panel(number: int, title: str, unit: str, queries: list[tuple[str, str]]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
        for place, (query, legend) in enumerate(queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0} if title != "Clocks ahead of Redis's" else {"unit": unit},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi"},
        },
        "targets": targets,
    }


def text() -> str:
    """Return the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("dashboard.json").write_text(text())
