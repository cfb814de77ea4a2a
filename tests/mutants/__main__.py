"""`make mutants`: mistakes put into the code one at a time; those that no test notices are shown."""

import argparse
import queue
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from tests.mutants import choice, equivalent, report
from tests.mutants.equivalent import Equivalent
from tests.mutants.mutant import Mutant
from tests.mutants.reach import Reach
from tests.mutants.trial import Bench, Experience, Result, Verdict, result
from tests.mutants.type_checker import TypeChecker
from tests.mutants.workshop import Workshop

ROOT = Path(__file__).parent.parent.parent
RESULTS = Path("build") / "mutants" / "results.jsonl"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run; the exit status is 1 if the score is below the bound."""
    options = _parser().parse_args(arguments)
    paths = choice.files(root, options.modules)
    mutants = choice.mutants_of(root, paths)
    entries = equivalent.listed(root)
    for entry in equivalent.stale(entries, mutants, paths):
        print(f"stale in {equivalent.LIST}: {entry.file}: {entry.line!r} -> {entry.becomes!r}")
    file = root / RESULTS
    known = report.kept(file)
    chosen = _chosen(root, mutants, options, known)
    if options.list:
        print("".join(mutant.diff for mutant in chosen))
        return 0
    results = {mutant.name: result(mutant, Verdict.EQUIVALENT) for mutant in chosen if _in(entries, mutant)}
    if not options.again:
        results |= {mutant.name: known[mutant.name] for mutant in chosen if mutant.name in known} | results
    todo = [mutant for mutant in chosen if mutant.name not in results]
    print(f"{len(chosen)} of {len(mutants)} mutants, {len(results)} known or equivalent", flush=True)
    for done in _run(root, todo, options.jobs):
        results[done.name] = done
        report.keep(file, done)
        print(f"[{len(results)}/{len(chosen)}] {_told(done)}", flush=True)
    found = list(results.values())
    print(report.summary(found))
    return int(report.score(found) < options.least)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "--modules", nargs="*", default=[], help="directories or modules below the package, as jobs/store"
    )
    parser.add_argument("--since", help="only lines that differ from this revision")
    parser.add_argument("--sample", type=int, help="so many at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--again", action="store_true", help="those that survived the last time, once more")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    parser.add_argument("--least", type=float, default=90, help="the lowest score that is good, in percent")
    parser.add_argument("--list", action="store_true", help="only show them")
    return parser


def _in(entries: Iterable[Equivalent], mutant: Mutant) -> bool:
    return any(entry.means(mutant) for entry in entries)


def _chosen(root: Path, mutants: list[Mutant], options: argparse.Namespace, known: dict[str, Result]) -> list[Mutant]:
    if options.since:
        mutants = choice.changed(root, mutants, options.since)
    if options.again:
        left = {name for name, was in known.items() if was.verdict in (Verdict.SURVIVED, Verdict.UNREACHED)}
        mutants = [mutant for mutant in mutants if mutant.name in left]
    if options.sample:
        mutants = choice.sample(mutants, options.sample, options.seed)
    return mutants


def _run(root: Path, todo: Sequence[Mutant], jobs: int) -> Iterator[Result]:
    """Try mutants side by side, in copies of their own; yields each result as it comes."""
    if not todo:
        return
    experience, reach, free = Experience(), Reach(root), queue.SimpleQueue[Bench]()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as place, ExitStack() as stack:
        Path(place).chmod(0o755)  # PostgreSQL's own user has to get to its data
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        workshops = [Workshop(root, Path(place) / str(number)) for number in range(jobs + 1)]
        for workshop in workshops:
            stack.callback(workshop.remove)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        types = TypeChecker(root, workshops.pop())
        for workshop in workshops:
            free.put(Bench(workshop, types, reach, experience))

        def tried(mutant: Mutant) -> Result:
            bench = free.get()
            try:
                return bench.tried(mutant)
            finally:
                free.put(bench)

        for done in as_completed([pool.submit(tried, mutant) for mutant in todo]):
            yield done.result()
    for test in sorted(experience.unsound):
        print(f"fails without a mistake, and was left out: {test}")


def _told(done: Result) -> str:
    by = f" by {done.by}" if done.by else ""
    return f"{done.verdict}{by}: {done.path}:{done.line} {done.kind} ({done.seconds:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
