"""Pages that list what the code has: the moves of a job, its picture, the metrics."""

import re
from pathlib import Path

from carecase_worker.settings.places import leaves_of
from carecase_worker.settings.sections.files import FileSettings
from carecase_worker.store.job import MOVES

ROOT = Path(__file__).parents[2]
DOCS, SOURCE = ROOT / "docs", ROOT / "src" / "carecase_worker"
SAMPLES = r"""(MetricSample|HistogramSample|_histogram|Counter|Gauge|Histogram)\(\s*"(carecase_\w+)"([^\n]*)"""
OTHERS = {"carecase_worker", "carecase_schema"}
"""Names in the code that begin like a metric's: the package, the table of revisions."""


def test_the_page_of_states_has_every_move() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([`\w, ]+) \|$", (DOCS / "explanation" / "states.md").read_text(), re.M)
    documented = {(state, operation): set(re.findall(r"\w+", ends)) for state, operation, ends in rows}
    assert documented == {
        (state.value, operation.value): {one.value for one in ends}
        for (state, operation), ends in MOVES.items()
        if ends
    }


def test_the_picture_of_states_has_every_move() -> None:
    drawn = re.findall(
        r"<title>(\w+) -&gt; (\w+): ([\w, ]+)</title>", (DOCS / "pictures" / "job-states.svg").read_text()
    )
    documented = {(one, operation, other) for one, other, operations in drawn for operation in operations.split(", ")}
    assert documented == {
        (state.value, operation.value, one.value) for (state, operation), ends in MOVES.items() for one in ends
    }


def test_every_name_of_a_metric_in_the_code_is_found() -> None:
    texts = [module.read_text() for module in SOURCE.rglob("*.py")]
    names = {name for text in texts for name in re.findall(r'"(carecase_\w+)"', text)}
    assert names - {name for text in texts for _, name, _ in re.findall(SAMPLES, text)} == OTHERS


def test_the_page_of_metrics_has_every_metric() -> None:
    named = {
        f"{name}_total" if kind == "Counter" or "counter=True" in rest else name
        for module in SOURCE.rglob("*.py")
        for kind, name, rest in re.findall(SAMPLES, module.read_text())
    }
    rows = re.findall(r"^\| `(carecase_\w+)` \| (\w+) \|", (DOCS / "reference" / "metrics.md").read_text(), re.M)
    assert {name for name, _ in rows} == named
    assert [name for name, kind in rows if name.endswith("_total") != (kind == "counter")] == []


def test_the_page_of_files_has_every_setting_of_a_mapping_and_each_has_a_description() -> None:
    page = (DOCS / "how-to" / "files.md").read_text()
    table = page.partition("| setting | default | meaning |\n")[2].partition("\n\n")[0]
    named = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split(" | ")[0])]
    described = dict(leaves_of(FileSettings))
    assert sorted(named) == sorted(described)
    assert [name for name, text in described.items() if not text] == []


def test_no_sentence_is_indented_like_code() -> None:
    """A paragraph of a list that is eight spaces in is shown as code, its links and names as they are typed."""
    fence = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
    text = "".join(fence.sub("", page.read_text()) for page in DOCS.rglob("*.md"))
    assert re.findall(r"^\n {8}(\S.*)", text, re.M) == []
