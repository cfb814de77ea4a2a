"""Results of a run: a line for each mutant in a file, and a summary for people."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants.trial import Result, Verdict

_NOTICED = (Verdict.KILLED, Verdict.TIMED_OUT)


def read_results(path: Path) -> dict[str, Result]:
    """The results in a file, by the names of the mutants; a line that was cut off is none."""
    found = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            document = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[document["name"]] = Result(**{**document, "verdict": Verdict(document["verdict"])})
    return found


def append_result(path: Path, result: Result) -> None:
    """Add a result to the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result.document()) + "\n")


def score(results: Iterable[Result]) -> float:
    """The part that was noticed of those that count, in percent."""
    counted = [result.verdict in _NOTICED for result in results if result.counts]
    return 100 * sum(counted) / len(counted) if counted else 100.0


def summary(results: Sequence[Result]) -> str:
    """Survivors as diffs, then the score by module and in all."""
    by_module: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_module[result.path].append(result)
    lines = [_survivor(result) for result in results if result.verdict in (Verdict.SURVIVED, Verdict.UNREACHED)]
    width = max((len(path) for path in by_module), default=6)
    heads = ("killed", "timed out", "survived", "unreached", "equivalent", "refused")
    lines.append(f"{'module':<{width}}  score  {'  '.join(heads)}")
    for path, found in (*sorted(by_module.items()), ("all", list(results))):
        counts = Counter(result.verdict for result in found)
        text = "  ".join(f"{counts[Verdict(head)]:>{len(head)}}" for head in heads)
        lines.append(f"{path:<{width}}  {score(found):4.0f}%  {text}")
    return "\n".join(lines)


def _survivor(result: Result) -> str:
    tests = ", ".join(result.tests) or "no test runs over it"
    if result.left:
        tests += f" (and {result.left} that were beyond the budget)"
    return f"{result.verdict}: {result.path}:{result.line} ({result.kind})\n{result.diff}tests: {tests}\n"
