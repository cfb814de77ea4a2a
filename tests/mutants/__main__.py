"""`make mutants`: mistakes put into the code one at a time; those that no test notices are shown."""

import argparse
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants import choice, equivalent, report
from tests.mutants.equivalent import Equivalent
from tests.mutants.mutant import Mutant
from tests.mutants.trial import Result, Verdict, result
from tests.mutants.trials import TrialPool, results

ROOT = Path(__file__).parent.parent.parent
RESULTS = Path("build") / "mutants" / "results.jsonl"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run; the exit status is 1 if the score is below the bound, or a test fails without a mistake."""
    options = _parser().parse_args(arguments)
    paths = choice.files(root, options.modules)
    mutants = choice.mutants_of(root, paths)
    entries = equivalent.listed(root)
    for entry in equivalent.stale(entries, mutants, paths):
        line = f"{entry.file}: {entry.line!r} -> {entry.becomes or 'anything'!r}"
        print(f"{equivalent.LIST} has an entry that matches no mutant; update or remove it: {line}")
    file = root / RESULTS
    known = report.read_results(file)
    chosen = _chosen(root, mutants, options, known)
    if options.list:
        print("".join(mutant.diff for mutant in chosen[: options.sample]))
        return 0
    settled = {} if options.again else known
    settled |= {mutant.name: result(mutant, Verdict.EQUIVALENT) for mutant in chosen if _is_equivalent(entries, mutant)}
    wanted = min(options.sample or len(chosen), len(chosen))
    found = []
    with TrialPool(root, options.jobs, options.budget) as pool:
        for done in results(chosen, settled, pool, options.jobs, wanted):
            found.append(done)
            if done.name not in settled:
                report.append_result(file, done)
                counted = sum(one.counts for one in found)
                print(f"[{counted}/{wanted}] {_result_line(done)}", flush=True)
    print(report.summary(found))
    for test in sorted(pool.experience.unsound):
        print(f"fails without any mistake put into the code, and was left out; mend it: {test}")
    return int(report.score(found) < options.least or bool(pool.experience.unsound))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "--modules", nargs="*", default=[], help="directories or modules below the package, as store/job_store"
    )
    parser.add_argument("--since", help="only lines that differ from this revision")
    parser.add_argument("--sample", type=int, help="so many that count, at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument(
        "--again", action="store_true", help="every mutant whose last result is survived or unreached, once more"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    parser.add_argument(
        "--budget",
        type=float,
        default=60,
        help="seconds that the tests of a stage may have taken as they were measured",
    )
    parser.add_argument("--least", type=float, default=90, help="the lowest score that is good, in percent")
    parser.add_argument("--list", action="store_true", help="only show them")
    return parser


def _is_equivalent(entries: Iterable[Equivalent], mutant: Mutant) -> bool:
    return any(entry.means(mutant) for entry in entries)


def _chosen(root: Path, mutants: list[Mutant], options: argparse.Namespace, known: dict[str, Result]) -> list[Mutant]:
    if options.since:
        mutants = choice.changed(root, mutants, options.since)
    if options.again:
        left = {name for name, was in known.items() if was.verdict in (Verdict.SURVIVED, Verdict.UNREACHED)}
        mutants = [mutant for mutant in mutants if mutant.name in left]
    return choice.shuffled(mutants, options.seed) if options.sample else mutants


def _result_line(done: Result) -> str:
    by = f" by {done.by}" if done.by else ""
    return f"{done.verdict}{by}: {done.path}:{done.line} {done.kind} ({done.seconds:.0f} s)"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the copies are removed then, too
    sys.exit(main())
