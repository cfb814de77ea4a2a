"""The table of the contract's tests names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
TABLE = (TESTS.parent / "docs" / "contract-tests.md").read_text()


def test_every_test_that_the_table_names_exists() -> None:
    named = re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", TABLE)
    assert len(named) > 50
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (TESTS / path).is_file() or f"def {name}(" not in (TESTS / path).read_text()
    ]
    assert missing == []


def test_every_line_of_the_table_names_a_test() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| line")]
    assert [row for row in rows if "::test_" not in row] == []
