"""Lines, branches and statements of scripts that no test reaches, and the list of those that need not be reached."""

import json
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage
from tests.line_coverage.lua import Statement, statements
from tests.line_coverage.place import PACKAGE, SCRIPTS, prepared
from tests.line_coverage.results import Result

LIST = Path(__file__).with_name("unreached.toml")


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """A place that no test reaches; `note` says what is missing there if it is not the whole line."""

    file: str
    line: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Excuse:
    """Reason for a line, and what is indented below it, not to be reached. The line is its text: numbers change.

    `sometimes`: it is reached on some machines, or in some runs.
    """

    file: str
    line: str
    reason: str
    sometimes: bool = False

    def covers(self, gap: Gap, lines: Sequence[str]) -> bool:
        """Tell if it is about this gap; `lines` are those of the gap's file."""
        if gap.file != self.file:
            return False
        depth = len(lines[gap.line - 1]) + 1
        for text in reversed(lines[: gap.line]):  # the line itself, and whatever it is indented below
            indented = len(text) - len(text.lstrip())
            if text.strip() and indented < depth:
                if text.strip() == self.line:
                    return True
                depth = indented
        return False


def read_excuses(path: Path = LIST) -> list[Excuse]:
    """Read the entries of the list."""
    return [Excuse(**one) for one in tomllib.loads(path.read_text("utf-8")).get("unreached", [])]


def gaps(results: Sequence[Result]) -> list[Gap]:
    """All gaps that some runs have left."""
    reached = {statement for result in results for statement in result.statements}
    return sorted([*_python_gaps(results), *_lua_gaps(reached)])


def sorted_out(found: Iterable[Gap], excuses: Sequence[Excuse]) -> tuple[list[Gap], list[Excuse]]:
    """The gaps that no reason is given for, and the reasons that no gap has need of."""
    left, used = [], set()
    for gap in found:
        about = [one for one in excuses if one.covers(gap, _lines(gap.file))]
        used.update(about)
        if not about:
            left.append(gap)
    return left, [one for one in excuses if one not in used and not one.sometimes]


def lines_of(found: Iterable[Gap]) -> Iterator[str]:
    """The gaps, for people: file by file, with the text of each line."""
    file = ""
    for gap in found:
        if gap.file != file:
            file = gap.file
            yield file
        text = _lines(gap.file)[gap.line - 1].strip()
        yield f"  {gap.line}: {text}{f'   [{gap.note}]' if gap.note else ''}"


def _python_gaps(results: Sequence[Result]) -> Iterator[Gap]:
    with prepared() as place:
        measured = coverage.Coverage(config_file=str(place.config))
        measured.combine([str(result.data) for result in results], keep=True)
        report = place.directory / "report.json"
        measured.json_report(outfile=str(report))
        files = json.loads(report.read_text())["files"]
    for file, notes in files.items():
        name = Path(file).resolve().relative_to(PACKAGE).as_posix()
        missing = set(notes["missing_lines"])
        yield from (Gap(name, line) for line in missing)
        for line, to in notes["missing_branches"]:
            if line not in missing:
                yield Gap(name, line, f"never to line {to}" if to > 0 else "never to the end")


def _lua_gaps(reached: Collection[Statement]) -> Iterator[Gap]:
    for path in SCRIPTS.glob("*.lua"):
        text = path.read_text("utf-8")
        for statement, at in statements(path.stem, text).items():
            if statement not in reached:
                own = text[at : text.find("\n", at)].strip()
                is_whole = statement.column == 1 + len(_indent(text, at))
                yield Gap(path.relative_to(PACKAGE).as_posix(), statement.line, "" if is_whole else f"never: {own}")


def _indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" "))]


def _lines(file: str) -> list[str]:
    return (PACKAGE / file).read_text("utf-8").splitlines()
