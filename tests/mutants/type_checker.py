"""The type checker's word on a mutant: what it refuses does not reach any test, nor anybody's main branch."""

import sys
from threading import Lock

from tests.mutants.mutant import Mutant
from tests.mutants.workshop import Workshop

_CHECKER = (sys.executable, "-m", "mypy.dmypy")


class TypeChecker:
    """A mypy that stays, and looks again at what has changed in a copy of its own."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop, self._lock = workshop, Lock()
        if self._errors("run", "--", "src"):
            raise SystemExit("mypy finds errors in the code without any mistake put into it: see make types.")

    def refuses(self, mutant: Mutant) -> bool:
        """Whether a mutant has errors of types, or is no Python."""
        if not mutant.path.endswith(".py"):
            return False
        with self._lock:
            self._workshop.put(mutant.path, mutant.mutated)
            try:
                return self._errors("recheck")
            finally:
                self._workshop.put(mutant.path, mutant.text)

    def _errors(self, *command: str) -> bool:
        done = self._workshop.command(*_CHECKER, *command)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"mypy's daemon fails: {done.stdout}{done.stderr}")
        return done.returncode == 1
