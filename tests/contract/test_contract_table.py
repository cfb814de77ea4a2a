"""The tables of the contract and of the threat model name tests that exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
DOCS = TESTS.parent / "docs"
TABLE = (DOCS / "contract-tests.md").read_text()


@pytest.mark.parametrize(("page", "least"), [("contract-tests.md", 50), ("security.md", 30)])
def test_every_test_that_a_page_names_exists(page: str, least: int) -> None:
    named = re.findall(r"`([a-z0-9_/]+\.py)::(test_\w+)`", (DOCS / page).read_text())
    assert len(named) > least
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (TESTS / path).is_file() or f"def {name}(" not in (TESTS / path).read_text()
    ]
    assert missing == []


def test_every_line_of_the_table_names_a_test() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| line")]
    assert [row for row in rows if "::test_" not in row] == []
