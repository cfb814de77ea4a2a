"""Mutants tried side by side, each in a copy of the repository that nobody else uses at that time."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.mutant import Mutant
from tests.mutants.reach import MAP, Reach
from tests.mutants.sandbox import Sandbox
from tests.mutants.trial import Experience, Result, TrialRunner
from tests.mutants.type_checker import TypeChecker


class TrialPool:
    """Runners of trials, and a thread for each; built when there is something to try."""

    def __init__(self, root: Path, jobs: int, budget: float) -> None:
        self.experience = Experience()
        self._root, self._jobs, self._budget = root, jobs, budget
        self._stack = ExitStack()
        self._free = SimpleQueue[TrialRunner]()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "TrialPool":
        return self

    def __exit__(self, *_: object) -> None:
        """Remove every copy, and end what runs there."""
        self._stack.close()

    def submit(self, mutant: Mutant) -> "Future[Result]":
        """Try a mutant as soon as a runner is free."""
        if self._pool is None:
            self._pool = self._built()
        return self._pool.submit(self._tried, mutant)

    def _tried(self, mutant: Mutant) -> Result:
        runner = self._free.get()
        try:
            return runner.run(mutant)
        finally:
            self._free.put(runner)

    def _built(self) -> ThreadPoolExecutor:
        place = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True))
        )
        place.chmod(0o755)  # PostgreSQL's own user has to get to its data
        pool = self._stack.enter_context(ThreadPoolExecutor(self._jobs))
        sandboxes = [Sandbox(self._root, place / str(number)) for number in range(self._jobs + 1)]
        for sandbox in sandboxes:
            self._stack.callback(sandbox.remove)
        self._stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        types, reach = TypeChecker(self._root, sandboxes.pop()), Reach(sandboxes[0].copy, self._root / MAP)
        for sandbox in sandboxes:
            self._free.put(TrialRunner(sandbox, types, reach, self.experience, self._budget))
        return pool


def results(
    mutants: Iterable[Mutant], known: Mapping[str, Result], pool: TrialPool, jobs: int, wanted: int
) -> Iterator[Result]:
    """Try mutants one after the other, but for those that are known, until so many are found that count."""
    waiting: set[Future[Result]] = set()
    counted, left = 0, iter(mutants)
    while True:
        room = len(waiting) < jobs and counted + len(waiting) < wanted
        mutant = next(left, None) if room else None
        if mutant and mutant.name not in known:
            waiting.add(pool.submit(mutant))
            continue
        done = [known[mutant.name]] if mutant else []
        if not mutant:
            if not waiting:
                return
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            done = [future.result() for future in ended]
        for result in done:
            counted += result.counts
            yield result
