"""Rounds: everybody once, then everybody again in the opposite order, so that a drift of the machine hits all alike."""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.arena import TENANTS, Arena, Before
from bench.cases import CaseFiles, Sum
from bench.crew import BenchError, crew
from bench.field import Contestant, Trial

_OLD_SEED, _SEED = 1, 2
_WARM_UP_CASES = 8000


@dataclass(frozen=True, slots=True)
class Workload:
    """What the cases meet, and in how many databases."""

    name: str
    before: Before
    tenants: int = 1


NEW = Workload("all new", Before.EMPTY)
WORKLOADS = (
    NEW,
    Workload("all updated", Before.OLDER),
    Workload("all superseded", Before.NEWER),
    Workload("all superseded, created by newer batches", Before.CREATED_LATER),
    Workload("all new, in eight databases", Before.EMPTY, tenants=8),
    Workload("all updated, in eight databases", Before.OLDER, tenants=8),
)


@dataclass(frozen=True, slots=True)
class Race:
    """One contestant at one workload."""

    contestant: Contestant
    workload: Workload


Rates = dict[Race, list[float]]
"""Cases a second, by round."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some figures, and how far they lie apart."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> "Spread":
        """The spread of figures."""
        ordered = sorted(figures)
        return cls(median(ordered), ordered[0], ordered[-1])


def ratio(rates: Rates, one: Race, other: Race) -> Spread | None:
    """How often `one` is as fast as `other`, compared round by round; None if one of them did not run."""
    if one not in rates or other not in rates:
        return None
    return Spread.of(a / b for a, b in zip(rates[one], rates[other], strict=True))


@dataclass(frozen=True, slots=True)
class Rounds:
    """How races are run; `share` is the part of the usual number of cases."""

    arena: Arena
    files: CaseFiles
    share: float

    def warm_up(self, databases: Sequence[str]) -> None:
        """Let every process of this system have worked once on each database, as one has that runs for long."""
        path = self.files.file(_WARM_UP_CASES, _OLD_SEED)
        with crew("bench.client:send", [(self.arena.access, [[(database, path)] for database in databases])]) as run:
            run()

    def run(self, races: Sequence[Race], count: int) -> Rates:
        """Run all races so many times."""
        rates: Rates = {race: [] for race in races}
        for number in range(count):
            for race in races if number % 2 == 0 else reversed(races):
                rates[race].append(self._once(race))
                what = f"{race.contestant.name}, {race.workload.name}"
                print(f"round {number + 1}: {what}: {rates[race][-1]:,.0f} cases/s", file=sys.stderr, flush=True)
        return rates

    def cases(self, race: Race) -> int:
        """How many cases each database gets."""
        whole = max(100, round(race.contestant.cases * self.share))
        return whole // race.workload.tenants

    def trial(self, race: Race) -> Trial:
        """The databases as the workload wants them, and the files that go there."""
        contestant, workload, count = race.contestant, race.workload, self.cases(race)
        databases = TENANTS if workload.tenants > 1 else (contestant.database,)
        for database in databases:
            self.arena.reset(database, workload.before, self.files.file(count, _OLD_SEED))
        targets = tuple(
            (database, self.files.file(count, _SEED, first=1 + number * count))
            for database in databases
            for number in range(contestant.batches)
        )
        return Trial(self.arena, targets, guarded=workload.before.supersedes)

    def _once(self, race: Race) -> float:
        """Cases a second. Raises BenchError if the tables do not hold afterwards what they must."""
        trial = self.trial(race)
        with race.contestant.beside(trial), crew(race.contestant.target, race.contestant.members(trial)) as run:
            self.arena.settle()
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
        self._check(race, trial)
        return self.cases(race) * len(trial.targets) / seconds

    def _check(self, race: Race, trial: Trial) -> None:
        for database in {database for database, _ in trial.targets}:
            paths = [path for where, path in trial.targets if where == database]
            if race.workload.before.supersedes:
                paths = [self.files.file(self.cases(race), _OLD_SEED)]
            sums = [self.files.sums[path] for path in paths]
            expected = Sum(sum(one.cases for one in sums), sum(one.priorities for one in sums))
            stored = self.arena.held(database, race.contestant.table)
            if stored != expected:
                raise BenchError(f"{race.contestant.name}, {race.workload.name}: {stored} instead of {expected}")
