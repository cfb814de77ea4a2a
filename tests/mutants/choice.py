"""The choice of mutants: by module, by change, or a random sample."""

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from tests.mutants import lua, python
from tests.mutants.mutant import Mutant

SOURCE = Path("src") / "carecase_worker"
LISTS = Path("build") / "mutants" / "lists"
_OPERATORS = ("lua", "mutant", "operators", "python", "settings", "sql")


def files(root: Path, modules: Sequence[str] = ()) -> list[str]:
    """The files of the package that can be mutated; `modules` are names below it, of a directory or without suffix."""
    paths = sorted(path for path in (root / SOURCE).rglob("*") if path.suffix in (".py", ".lua"))
    named = {path.relative_to(root).as_posix(): path.relative_to(root / SOURCE).as_posix() for path in paths}
    unknown = [module for module in modules if not any(_is_in(name, module) for name in named.values())]
    if unknown:
        raise SystemExit(
            f"There is no {', '.join(unknown)} in {SOURCE}. Name directories or modules below it, as store/job_store."
        )
    return [path for path, name in named.items() if not modules or any(_is_in(name, module) for module in modules)]


def mutants_of(root: Path, paths: Iterable[str]) -> list[Mutant]:
    """Every mutant of these files."""
    return [mutant for path in paths for mutant in _listed(root, path, (root / path).read_text("utf-8"))]


def _listed(root: Path, path: str, text: str) -> list[Mutant]:
    """The mutants of a file; they are kept until its text or the operators change, for they take a second."""
    name = sha256(f"{_operators()}{path}:{text}".encode()).hexdigest()
    kept = root / LISTS / f"{name}.json"
    if kept.exists():
        return [Mutant(path, text, *exchanged) for exchanged in json.loads(kept.read_text("utf-8"))]
    found: list[Mutant] = (lua if path.endswith(".lua") else python).mutants_of(path, text)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps([(one.start, one.end, one.instead, one.kind) for one in found]), "utf-8")
    return found


@cache
def _operators() -> str:
    """A name that other operators do not have."""
    modules = (Path(__file__).with_name(f"{name}.py") for name in _OPERATORS)
    return sha256(b"\0".join([version("mutmut").encode(), *(module.read_bytes() for module in modules)])).hexdigest()


def shuffled(mutants: Sequence[Mutant], seed: int) -> list[Mutant]:
    """The mutants in an order in which any is as likely as any other to come first, the same for the same seed.

    A file that changes moves its own mutants and no others.
    """
    return sorted(mutants, key=lambda mutant: sha256(f"{seed}:{mutant.name}".encode()).digest())


def changed(root: Path, mutants: Iterable[Mutant], since: str) -> list[Mutant]:
    """The mutants of the lines that differ from a revision."""
    lines = _changed_lines(root, since)
    return [mutant for mutant in mutants if lines.get(mutant.path, set()) & set(mutant.lines)]


def _changed_lines(root: Path, since: str) -> dict[str, set[int]]:
    command = ["git", "diff", "--unified=0", "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/", since]
    done = subprocess.run([*command, "--", str(SOURCE)], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git knows no revision {since}: {done.stderr.strip()}")
    found: dict[str, set[int]] = {}
    path = ""
    for line in done.stdout.splitlines():
        if line.startswith("+++ b/"):
            path = line.removeprefix("+++ b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, length = int(hunk[1]), int(hunk[2] or 1)
            found.setdefault(path, set()).update(range(first, first + length))
    return found


def _is_in(name: str, module: str) -> bool:
    module = module.strip("/")
    return name == module or name.rpartition(".")[0] == module or name.startswith(f"{module}/")
