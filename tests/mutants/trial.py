"""The trial of a mutant: the tests that run over it, the narrowest first, until one of them fails."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from tests.mutants.mutant import Mutant
from tests.mutants.reach import Reach
from tests.mutants.sandbox import Ran, Sandbox
from tests.mutants.type_checker import TypeChecker

_RUN_SECONDS = 60
"""Of a run, beside its tests."""
_HUNG = "Timeout (>"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?|\S+)(?: - |$)", re.MULTILINE)
_OPTIONS = ("-x", "--no-header", "-rfE", "--tb=line", "--show-capture=no")


class Verdict(StrEnum):
    """Result of trying a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    UNREACHED = "unreached"
    REFUSED = "refused"


@dataclass(frozen=True)
class Result:
    """A mutant and its end; `by` is the test that killed it, `left` the number of tests that the budget left out."""

    name: str
    path: str
    line: int
    kind: str
    before: str
    after: str
    diff: str
    verdict: Verdict
    by: str
    tests: list[str]
    seconds: float
    left: int = 0

    @property
    def counts(self) -> bool:
        """Tell whether the score is about it: nobody can notice an equivalent one, nor commit one that is refused."""
        return self.verdict not in (Verdict.EQUIVALENT, Verdict.REFUSED)

    def document(self) -> dict[str, object]:
        """The result as it is kept."""
        return asdict(self)


class Experience:
    """Results of earlier trials of a run: which files kill, and which tests fail without any mistake."""

    def __init__(self) -> None:
        self._kills: Counter[tuple[str, str]] = Counter()
        self._sound: set[str] = set()
        self.unsound: set[str] = set()
        self.collected: set[str] = set()

    def in_order(self, path: str, tests: Sequence[str]) -> list[str]:
        """Tests that have killed other mutants of the module first."""
        return sorted(tests, key=lambda test: -self._kills[path, test.partition("[")[0]])

    def is_sound(self, test: str) -> bool:
        """Tell whether a test is known to pass without a mistake."""
        return test in self._sound

    def killed(self, mutant: Mutant, test: str) -> None:
        """Learn that a test, which passes without it, has killed a mutant."""
        self._sound.add(test)
        function = test.partition("[")[0]
        for name in {function, function.partition("::")[0]}:
            self._kills[mutant.path, name] += 1


@dataclass(frozen=True)
class TrialRunner:
    """All that a trial needs beside the mutant; only the sandbox is for one trial at a time."""

    sandbox: Sandbox
    types: TypeChecker
    reach: Reach
    experience: Experience
    budget: float

    def run(self, mutant: Mutant) -> Result:
        """Run the tests over a mutant, stage by stage, unless the type checker refuses it."""
        if self.types.refuses(mutant):
            return result(mutant, Verdict.REFUSED)
        stages = [stage for stage in self.reach.tests_of(mutant) if stage]
        began, done = time.monotonic(), list[str]()
        for stage in stages:
            tests = self.reach.within(self.experience.in_order(mutant.path, stage), self.budget)
            done += tests
            if noticed := self._noticed(mutant, tests):
                verdict, by = noticed
                return result(mutant, verdict, by, done, time.monotonic() - began)
        left = sum(map(len, stages)) - len(done)
        verdict = Verdict.SURVIVED if stages else Verdict.UNREACHED
        return result(mutant, verdict, "", done, time.monotonic() - began, left)

    def _noticed(self, mutant: Mutant, tests: Sequence[str]) -> tuple[Verdict, str] | None:
        """Run tests over a mutant; how and by which of them it was noticed, if it was."""
        by_chance = set[str]()
        while True:
            ran = self._run(mutant, tests, by_chance)
            if ran.passed:
                return None
            failed = _FAILED.search(ran.output)
            by = failed[1] if failed else ""
            if not by and ran.timed_out:
                return Verdict.TIMED_OUT, by
            if "::" not in by:  # a file, or all of them
                self._must_be_collected([by] if by else tests)
                return Verdict.KILLED, by or "as the tests are collected"
            hung = _HUNG in ran.output
            if hung and self._run(mutant, [by]).passed:  # the machine was busy
                by_chance.add(by)
            elif self._believes(by, anew=hung):
                self.experience.killed(mutant, by)
                return Verdict.TIMED_OUT if hung else Verdict.KILLED, by

    def _believes(self, test: str, anew: bool) -> bool:
        """Tell whether a test that failed passes without the mistake; the copy has none now."""
        if (anew or not self.experience.is_sound(test)) and not self._pytest([test], *_OPTIONS).passed:
            self.experience.unsound.add(test)
            return False
        return True

    def _run(self, mutant: Mutant, tests: Sequence[str], without: Iterable[str] = ()) -> Ran:
        left_out = [f"--deselect={test}" for test in self.experience.unsound.union(without)]
        self.sandbox.put(mutant.path, mutant.mutated)
        try:
            return self._pytest(tests, *_OPTIONS, *left_out)
        finally:
            self.sandbox.put(mutant.path, mutant.text)

    def _pytest(self, tests: Sequence[str], *options: str) -> Ran:
        limits = {test: self.reach.limit(test) for test in (test.partition("[")[0] for test in tests)}
        return self.sandbox.run([*options, *tests], limits, _RUN_SECONDS + sum(limits.values()))

    def _must_be_collected(self, tests: Sequence[str]) -> None:
        if not self.experience.collected.issuperset(tests):
            ran = self._pytest(tests, "--collect-only")
            if not ran.passed:
                raise SystemExit(
                    f"pytest cannot collect the tests without any mistake, either: mend them.\n{ran.output}"
                )
            self.experience.collected.update(tests)


def result(
    mutant: Mutant, verdict: Verdict, by: str = "", tests: Sequence[str] = (), seconds: float = 0, left: int = 0
) -> Result:
    """The result for a mutant."""
    return Result(
        mutant.name, mutant.path, mutant.lines.start, mutant.kind, mutant.before, mutant.after, mutant.diff,
        verdict, by, list(tests), round(seconds, 1), left,
    )  # fmt: skip
