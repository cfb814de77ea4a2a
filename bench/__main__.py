"""`make bench`: python -m bench [--rounds N] [--quick] [--full] [--only NAME …] [--json FILE]"""

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import behind, observing, small, tables
from bench.arena import SYSTEM, TENANTS, Arena, arena
from bench.behind import Waiting
from bench.cases import CaseFiles
from bench.crew import BenchError
from bench.field import FIELD, LIMIT, THIS
from bench.measures import FULL, QUICK, USUAL, Measures
from bench.observing import Observing
from bench.rounds import NEW, WORKLOADS, Race, Rounds
from bench.small import SmallBatches

_QUICK_SHARE = 0.05
_WORKLOADS = "workloads"
_MEASURES = ("latency", "polls", "sizes", "results", "cpu", "small", "behind", "observing")
_NAMES = (*(contestant.name for contestant in FIELD), _WORKLOADS, *_MEASURES)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody runs")
    parser.add_argument("--quick", action="store_true", help="one round, few cases: does it run at all")
    parser.add_argument("--full", action="store_true", help="also a batch of a million")
    parser.add_argument("--only", nargs="+", choices=_NAMES, default=_NAMES, metavar="NAME", help=", ".join(_NAMES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    return parser.parse_args()


def main() -> int:
    """Run what was asked for; the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the system is stopped then, too
    place = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with arena(place) as started:
            report = Report(started, CaseFiles(place), options)
            for line in report.lines():
                print(line, flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(report.figures, indent=1))
    return 0


class Report:
    """Runs everything, and says what was found; `figures` has all of it afterwards."""

    def __init__(self, started: Arena, files: CaseFiles, options: argparse.Namespace) -> None:
        self._options = options
        self._rounds = Rounds(started, files, _QUICK_SHARE if options.quick else 1)
        self._measures = Measures(started, files, QUICK if options.quick else FULL if options.full else USUAL)
        rounds = 1 if options.quick else max(1, options.rounds)
        self._small_batches = SmallBatches(started, files, small.QUICK if options.quick else small.USUAL, rounds)
        self._waiting = Waiting(started, files, behind.QUICK if options.quick else behind.USUAL, rounds)
        self._observing = Observing(
            started.place / "observing", files, observing.QUICK if options.quick else observing.USUAL, rounds
        )
        self._machine = f"{_machine()}, PostgreSQL {started.version()}"
        self.figures: dict[str, Any] = {}

    def lines(self) -> Iterator[str]:
        """The report."""
        load = os.getloadavg()[0]
        self.figures["machine"], self.figures["load_average"] = self._machine, load
        yield f"{self._machine}; load average {load:.1f} before the first round. In brackets: least..most."
        yield from self._races()
        sections: dict[str, Callable[[], Iterator[str]]] = {
            "latency": self._latency,
            "polls": self._polls,
            "results": self._results,
            "sizes": self._sizes,
            "cpu": self._cpu,
            "small": self._small,
            "behind": self._behind,
            "observing": self._observed,
        }
        for name, section in sections.items():
            if name in self._options.only:
                yield ""
                yield from section()

    def _races(self) -> Iterator[str]:
        races = list(self._chosen())
        if not races:
            return
        self._rounds.warm_up((SYSTEM, *TENANTS) if _WORKLOADS in self._options.only else (SYSTEM,))
        rates = self._rounds.run(races, 1 if self._options.quick else max(1, self._options.rounds))
        self.figures["cases_per_second"] = [
            {"name": race.contestant.name, "workload": race.workload.name, "rounds": held}
            for race, held in rates.items()
        ]
        yield ""
        yield from tables.ways(rates, {race: self._rounds.cases(race) for race in rates})
        if _WORKLOADS in self._options.only:
            yield ""
            yield from tables.workloads(rates)

    def _chosen(self) -> Iterator[Race]:
        for contestant in FIELD:
            if contestant.name in self._options.only and not contestant.can_run:
                print(f"LEFT OUT: {contestant.name}: {contestant.package} is not installed; make bench installs it")
            elif contestant.name in self._options.only:
                yield Race(contestant, NEW)
        for workload in WORKLOADS:
            if workload != NEW and _WORKLOADS in self._options.only:
                yield from (Race(LIMIT, workload), Race(THIS, workload))

    def _latency(self) -> Iterator[str]:
        found = self._measures.latency()
        self.figures["latency"] = {size: [asdict(one) for one in held] for size, held in found.items()}
        yield from tables.latency(found)

    def _polls(self) -> Iterator[str]:
        found = self._measures.polls()
        self.figures["polls_s"] = found
        yield tables.polls(found)

    def _results(self) -> Iterator[str]:
        items, seconds = self._measures.results()
        self.figures["results"] = {"items": items, "seconds": seconds}
        yield tables.results(items, seconds)

    def _sizes(self) -> Iterator[str]:
        found = self._measures.sizes()
        self.figures["sizes"] = {size: asdict(cost) for size, cost in found.items()}
        yield from tables.sizes(found)

    def _cpu(self) -> Iterator[str]:
        found = self._measures.cpu()
        self.figures["cpu"] = asdict(found)
        yield from tables.cpu(found)

    def _small(self) -> Iterator[str]:
        found = self._small_batches.run()
        self.figures["small"] = [
            {"load": asdict(load), "carecase": list(map(asdict, ours)), "plain": list(map(asdict, plain))}
            for load, (ours, plain) in found.items()
        ]
        yield from tables.small(found)

    def _behind(self) -> Iterator[str]:
        found = self._waiting.run()
        self.figures["behind"] = {one.value: list(map(asdict, waited)) for one, waited in found.items()}
        yield from tables.behind(found)

    def _observed(self) -> Iterator[str]:
        found = self._observing.run()
        self.figures["observing"] = [
            {"load": asdict(load), **{watched.name.lower(): list(map(asdict, held)) for watched, held in ways.items()}}
            for load, ways in found.items()
        ]
        yield from tables.observing(found)


def _machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
