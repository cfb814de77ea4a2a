"""The map: which tests reach which line, and how long they take; by it another tool can choose what to run.

It is JSON:

    {"tests": {"tests/unit/test_retry.py::test_x": {"seconds": 0.1, "passed": true}},
     "names": ["", "tests/unit/test_retry.py", "tests/unit/test_retry.py::test_x"],
     "lines": {"src/carecase_worker/worker/attempts/retry_policy.py": {"12": [0, 1]}}}

- `tests`: each test function that was run, all its parameters together, with what is set up for it. What is set up for
  several is in the time of the first of them.
- `lines`: for each line that is reached, Python or Lua, by whom, as places in `names`. A test function is there if it
  reaches the line in its own process or in one that is started for it; a file, if something does that serves several of
  its tests, or tests of several files; "" if that happens as a module is imported or as pytest ends. Of a line that
  nobody but "" reaches, a constant or a table, whoever reaches other lines of its file may know more.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import coverage
from tests.line_coverage.place import BUILD, ROOT, SCRIPTS
from tests.line_coverage.results import Result

MAP = BUILD / "map.json"


def write_map(results: Iterable[Result]) -> None:
    """Write what some runs have found, at one stroke."""
    tests: dict[str, dict[str, Any]] = {}
    lines: defaultdict[str, defaultdict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for result in results:
        tests |= result.tests
        data, shared = coverage.CoverageData(str(result.data)), result.shared
        data.read()
        for source in data.measured_files():
            for line, reached_by in data.contexts_by_lineno(source).items():
                users = {user for name in reached_by for user in shared.get(name, [name])}
                lines[Path(source).relative_to(ROOT).as_posix()][line] |= users
        for statement, reached_by in result.statements.items():
            script = (SCRIPTS / f"{statement.script}.lua").relative_to(ROOT).as_posix()
            lines[script][statement.line] |= set(reached_by)
    names = sorted({name for of in lines.values() for reached_by in of.values() for name in reached_by})
    number = {name: at for at, name in enumerate(names)}
    numbered = {
        source: {str(line): sorted(number[name] for name in reached_by) for line, reached_by in sorted(of.items())}
        for source, of in sorted(lines.items())
    }
    draft = MAP.with_name(f"map-{os.getpid()}.new")
    draft.write_text(json.dumps({"tests": tests, "names": names, "lines": numbered}))
    draft.replace(MAP)
