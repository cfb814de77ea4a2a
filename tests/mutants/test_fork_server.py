"""Runs of tests over a mutant end, whatever a test is in."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("fork_server.py")
NEVER_ENDS = """
import sqlite3

def test_first():
    pass

def test_that_waits_for_a_library():
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    sqlite3.connect(":memory:").execute(endless).fetchall()
"""


def test_a_test_that_cannot_be_interrupted_ends_the_run_as_one_that_has_failed(tmp_path: Path) -> None:
    (tmp_path / "test_hung.py").write_text(NEVER_ENDS)
    test, output = "test_hung.py::test_that_waits_for_a_library", tmp_path / "output"
    asked = json.dumps([str(output), ["-p", "no:cacheprovider", "-rfE", "test_hung.py"], {test: 0.2}])
    ran = subprocess.run(
        [sys.executable, "-P", PROGRAM], input=f"{asked}\n", cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ran.stdout == "1\n", ran.stderr
    assert f"\nFAILED {test} - Timeout (>0.2s), and it cannot be interrupted\n" in output.read_text()
