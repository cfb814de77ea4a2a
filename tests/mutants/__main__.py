"""`make mutants`: mistakes put into the code one at a time; those that no test notices are shown."""

import argparse
import queue
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants import choice, equivalent, report
from tests.mutants.mutant import Mutant
from tests.mutants.trial import Experience, Result, Verdict, result, tried
from tests.mutants.types import TypeChecker
from tests.mutants.workshop import ROOT, Workshop

RESULTS = ROOT / "build" / "mutants" / "results.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status is 1 if the score is below the bound."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    paths = choice.files(options.modules)
    mutants = choice.mutants_of(paths)
    entries = equivalent.listed()
    for entry in equivalent.stale(entries, mutants, paths):
        print(f"stale in {equivalent.LIST.name}: {entry.file}: {entry.line!r} -> {entry.becomes!r}")
    known = report.kept(options.results)
    chosen = _chosen(mutants, options, known)
    if options.list:
        print("".join(mutant.diff for mutant in chosen))
        return 0
    results = {name: known[name] for name in (mutant.name for mutant in chosen) if name in known and not options.again}
    todo = []
    for mutant in chosen:
        if any(entry.means(mutant) for entry in entries):
            results[mutant.name] = result(mutant, Verdict.EQUIVALENT)
        elif mutant.name not in results:
            todo.append(mutant)
    print(f"{len(chosen)} of {len(mutants)} mutants, {len(results)} known or equivalent", flush=True)
    for done in _run(todo, options.jobs):
        results[done.name] = done
        report.keep(options.results, done)
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
    parser.add_argument("--results", type=Path, default=RESULTS, help="file with a line for each mutant that was tried")
    parser.add_argument("--list", action="store_true", help="only show them")
    return parser


def _chosen(mutants: list[Mutant], options: argparse.Namespace, known: dict[str, Result]) -> list[Mutant]:
    if options.since:
        mutants = choice.changed(mutants, options.since)
    if options.again:
        left = {name for name, was in known.items() if was.verdict in (Verdict.SURVIVED, Verdict.UNREACHED)}
        mutants = [mutant for mutant in mutants if mutant.name in left]
    if options.sample:
        mutants = choice.sample(mutants, options.sample, options.seed)
    return mutants


def _run(todo: Sequence[Mutant], jobs: int) -> Iterable[Result]:
    """Try mutants side by side, in copies of their own; yields each result as it comes."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in todo:
        waiting.put(mutant)
    done: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
    experience = Experience()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)  # PostgreSQL's own user has to get to its data
        workshops = [Workshop(Path(place) / str(number)) for number in range(min(jobs, len(todo)) + 1)]
        try:
            types = TypeChecker(workshops[-1])
            for workshop in workshops[:-1]:
                threading.Thread(target=_work, args=(workshop, waiting, done, types, experience), daemon=True).start()
            for _ in todo:
                came = done.get()
                if isinstance(came, BaseException):
                    raise came
                assert came is not None
                yield came
        finally:
            for workshop in workshops:
                workshop.remove()


def _work(
    workshop: Workshop,
    waiting: "queue.SimpleQueue[Mutant]",
    done: "queue.SimpleQueue[Result | BaseException | None]",
    types: TypeChecker,
    experience: Experience,
) -> None:
    while True:
        try:
            mutant = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            done.put(tried(mutant, workshop, types, experience))
        except BaseException as error:  # noqa: BLE001  # the main thread raises it
            done.put(error)
            return


def _told(done: Result) -> str:
    by = f" by {done.by}" if done.by else ""
    return f"{done.verdict}{by}: {done.path}:{done.line} {done.kind} ({done.seconds:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
