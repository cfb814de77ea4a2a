"""What is measured of this system beside its rate: latencies, cost by size, CPU time."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.arena import SYSTEM, Arena, Before
from bench.cases import CaseFiles
from bench.client import Timing
from bench.crew import crew

_SAMPLE_S = 0.01
_SEED = 3
_RESULTS = 5
_CLIENT = "bench.client"


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the measures are: the sizes of batches with how often each is sent, and the usual large batch."""

    latencies: Sequence[tuple[int, int]]
    sizes: Sequence[int]
    large: int
    repeats: int


USUAL = Scale(((1, 200), (100, 200), (10_000, 30)), (10_000, 100_000), 100_000, 3)
FULL = Scale(USUAL.latencies, (*USUAL.sizes, 1_000_000), USUAL.large, USUAL.repeats)
QUICK = Scale(((1, 10), (100, 10), (1000, 3)), (1000, 5000), 5000, 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one batch of a size cost: each repeat's timing, and by how much the intake grew at its highest."""

    timings: list[Timing]
    grown_bytes: int
    grown_private_bytes: int


@dataclass
class Growth:
    """By how much the intake's memory has grown at its highest: all of it, and without what lies in files."""

    whole: int = 0
    private: int = 0


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of one large batch by process, and how many cases it had."""

    cases: int
    seconds: dict[str, float]


@dataclass
class Measures:
    """Measures of one system; each method sends what it needs to an empty table."""

    arena: Arena
    files: CaseFiles
    scale: Scale

    def latency(self) -> dict[int, list[Timing]]:
        """For each size of batch, the timings on an idle system."""
        return {size: self._one(f"{_CLIENT}:time_batches", size, count) for size, count in self.scale.latencies}

    def polls(self) -> list[float]:
        """Seconds that polls took while a large batch was applied."""
        return list(self._one(f"{_CLIENT}:time_polls", self.scale.large))

    def results(self) -> tuple[int, list[float]]:
        """The items of a large batch, and the seconds that fetching its result took."""
        return self.scale.large, list(self._one(f"{_CLIENT}:time_results", self.scale.large, _RESULTS))

    def sizes(self) -> dict[int, Cost]:
        """For each size of batch, what it cost."""
        return {size: self._cost(size) for size in self.scale.sizes}

    def cpu(self) -> Cpu:
        """CPU seconds by process for one large batch, sent to an empty table."""
        path = self._prepared(self.scale.large)
        with crew(f"{_CLIENT}:send", [(self.arena.access, [[(SYSTEM, path)]])]) as run:
            before = self.arena.cpu_seconds()
            (client,) = run()
            after = self.arena.cpu_seconds()
        return Cpu(self.scale.large, {"client": client, **{role: after[role] - before[role] for role in after}})

    def _cost(self, size: int) -> Cost:
        timings = []
        grown = Growth()
        for _ in range(self.scale.repeats):
            path = self._prepared(size)
            with crew(f"{_CLIENT}:time_batches", [(self.arena.access, SYSTEM, path, 1)]) as run, self._watch(grown):
                ((timing,),) = run()
            timings.append(timing)
        return Cost(timings, grown.whole, grown.private)

    def _one(self, target: str, size: int, *more: int) -> Any:
        path = self._prepared(size)
        with crew(target, [(self.arena.access, SYSTEM, path, *more)]) as run:
            (found,) = run()
        return found

    def _prepared(self, size: int) -> Path:
        path = self.files.file(size, _SEED)
        self.arena.reset(SYSTEM, Before.EMPTY, path)
        self.arena.settle()
        return path

    @contextmanager
    def _watch(self, grown: Growth) -> Iterator[None]:
        """Look at the intake's memory again and again."""
        whole, private = self.arena.memory("intake")
        over = threading.Event()

        def look() -> None:
            while not over.wait(_SAMPLE_S):
                now, now_private = self.arena.memory("intake")
                grown.whole = max(grown.whole, now - whole)
                grown.private = max(grown.private, now_private - private)

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
