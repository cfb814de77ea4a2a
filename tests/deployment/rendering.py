"""Parameters of the tests of the chart: its cases, its roles, and the calls that the API describes."""

import json

import pytest
from tests.deployment.chart import CASES
from tests.deployment.chart_schema import CHART

ROOT = CHART.parent.parent.parent
DESCRIBED = json.loads((ROOT / "tests" / "contract" / "openapi.json").read_text())["paths"]
SERVING = ("intake", "worker", "flower")
EVERY_CASE = pytest.mark.parametrize("case", CASES)
