"""The type checker's word on a mutant: what it refuses does not reach any test, nor anybody's main branch."""

import sys
from pathlib import Path
from threading import Lock

from tests.mutants.mutant import Mutant
from tests.mutants.sandbox import Sandbox

_CACHE = Path("build") / "mutants" / "mypy"


class TypeChecker:
    """A mypy that stays, and looks again at what has changed in a copy of its own."""

    def __init__(self, root: Path, sandbox: Sandbox) -> None:
        self._sandbox, self._lock = sandbox, Lock()
        options = ("--cache-fine-grained", f"--cache-dir={root / _CACHE}", "src")
        if self._finds_errors("mypy", *options):
            raise SystemExit("mypy finds errors in src without any mistake put into it: see make types.")
        self._finds_errors("mypy.dmypy", "run", "--", "--use-fine-grained-cache", *options)

    def refuses(self, mutant: Mutant) -> bool:
        """Tell whether a mutant has errors of types, or is no Python."""
        if not mutant.path.endswith(".py"):
            return False
        with self._lock:
            self._sandbox.put(mutant.path, mutant.mutated)
            try:
                return self._finds_errors("mypy.dmypy", "recheck")
            finally:
                self._sandbox.put(mutant.path, mutant.text)

    def _finds_errors(self, module: str, *arguments: str) -> bool:
        done = self._sandbox.command(sys.executable, "-m", module, *arguments)
        if done.returncode and ": error: " not in done.stdout:
            raise RuntimeError(f"mypy fails: {done.stdout}{done.stderr}")
        return done.returncode != 0
