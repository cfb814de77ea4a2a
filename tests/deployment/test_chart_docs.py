"""The values that the chart's pages show, rendered as a reader would use them."""

import re
from pathlib import Path

import pytest
import yaml
from tests.deployment.chart import render
from tests.deployment.chart_schema import CHART

ROOT = CHART.parent.parent.parent
_PAGE = ROOT / "docs" / "how-to" / "kubernetes.md"
_README = CHART / "README.md"
_MORE = {
    "databases": {name: {"url": f"postgresql://carecase_worker@postgres/{name}"} for name in ("north", "small")},
}
"""Databases that the page's later examples name."""


def blocks(page: Path) -> list[str]:
    """The examples of values on a page, with what stands for a digest filled in."""
    found = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text.replace("sha256:…", f"sha256:{'0' * 64}").replace("…", "0" * 64) for text in found]


@pytest.mark.parametrize("page", [_PAGE, _README], ids=lambda page: page.name)
def test_the_first_example_is_a_release(page: Path) -> None:
    release = render(yaml.safe_load(blocks(page)[0]))
    assert {pod.role for pod in release.pods()} == {"intake", "worker", "flower", "migration", "test"}


@pytest.mark.parametrize("number", range(1, len(blocks(_PAGE))))
def test_each_other_example_goes_with_it(number: int) -> None:
    first, other = yaml.safe_load(blocks(_PAGE)[0]), yaml.safe_load(blocks(_PAGE)[number])
    elsewhere = {"secrets": dict.fromkeys(other.get("secrets", ()))}
    assert render(first, elsewhere, _MORE, other).objects


def test_whoever_follows_the_page_to_its_end_lets_prometheus_in() -> None:
    examples = [yaml.safe_load(block) for block in blocks(_PAGE)]
    (named,) = [one["networkPolicy"]["intakeFrom"] for one in examples if "intakeFrom" in one.get("networkPolicy", {})]
    assert "monitoring" in [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in named]


@pytest.mark.parametrize("page", [_PAGE, _README], ids=lambda page: page.name)
def test_helm_waits_longer_than_a_migration_may_take(page: Path) -> None:
    """Helm's own five minutes would end it as failed."""
    (minutes,) = re.findall(r"^helm upgrade --install .* --timeout (\d+)m$", page.read_text(), re.MULTILINE)
    migration = yaml.safe_load((CHART / "values.yaml").read_text())["migration"]
    assert int(minutes) * 60 > migration["deadlineSeconds"]


def test_the_table_of_secrets_is_that_of_the_pods() -> None:
    release = render(yaml.safe_load(blocks(_PAGE)[0]))
    rows = dict(re.findall(r"^\| (intake|flower) \| (.*?) \|", _PAGE.read_text(), re.MULTILINE))
    for pod in release.pods(*rows):
        assert set(re.findall(r"`(\w+)`", rows[pod.role])) == {Path(path).name for path in pod.secrets}


@pytest.mark.parametrize("page", [_PAGE, _README], ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert named
    assert [name for name in named if not (page.parent / name).exists()] == []


def test_every_part_of_the_values_is_in_the_readme() -> None:
    parts = yaml.safe_load((CHART / "values.yaml").read_text())
    names = set(re.findall(r"`(\w+)`", _README.read_text()))
    assert set(parts) - names == {"nameOverride", "fullnameOverride", "commonLabels", "commonAnnotations"}
