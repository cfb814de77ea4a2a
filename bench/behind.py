"""How long ten cases take to be final behind large batches: of the same care plan, another one, another tenant."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench.arena import SYSTEM, TENANTS, Arena, Before
from bench.cases import CaseFiles
from bench.client import Access, Client
from bench.crew import crew

_SEED, _FEW, _PLAN, _OTHER_PLAN = 7, 10, 1, 2
_PLAN_OF_A_CASE = re.compile(rb'"carePlan_Key":-?[0-9]+')


class Behind(Enum):
    """What the ten cases are, beside the large batches before them."""

    NOTHING = "nothing before them"
    SAME_PLAN = "the same care plan"
    OTHER_PLAN = "another care plan, no case in common"
    SHARED_CASE = "another care plan, a case of the first large batch in common"
    OTHER_TENANT = "another tenant"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many large batches there are, and how many cases each has."""

    batches: int
    cases: int


USUAL, QUICK = Scale(5, 200_000), Scale(2, 3_000)


@dataclass(frozen=True, slots=True)
class Waited:
    """Seconds from the PUT of the ten cases until they were final, and until the first and the last large batch was."""

    final_s: float
    first_s: float
    last_s: float


@dataclass(frozen=True)
class Waiting:
    """Sends large batches, and ten cases right after the last of them was accepted."""

    arena: Arena
    files: CaseFiles
    scale: Scale
    rounds: int

    def run(self) -> dict[Behind, list[Waited]]:
        """What was found in each round; each begins with empty tables."""
        return {behind: [self._one(behind) for _ in range(self.rounds)] for behind in Behind}

    def _one(self, behind: Behind) -> Waited:
        batches, cases = (0, 1) if behind is Behind.NOTHING else (self.scale.batches, self.scale.cases)
        large = [self.files.file(cases, _SEED, 1 + number * cases) for number in range(batches)]
        first = 1 if behind is Behind.SHARED_CASE else 1 + batches * cases
        few = self.files.file(_FEW, _SEED, first)
        for database in (SYSTEM, TENANTS[0]):
            self.arena.reset(database, Before.EMPTY, few)
        self.arena.settle()
        with crew("bench.behind:send", [(self.arena.access, large, few, behind)]) as run:
            ((final_s, first_s, last_s),) = run()
        return Waited(final_s, first_s, last_s)


def send(access: Access, large: Sequence[Path], few: Path, behind: Behind) -> Callable[[], tuple[float, float, float]]:
    """Send large batches, then few cases; seconds from there until these, the first and the last of those are final."""
    plan = _PLAN if behind is Behind.SAME_PLAN else _OTHER_PLAN
    bodies, last = [_under(_PLAN, path) for path in large], _under(plan, few)
    client, tenant = Client(access), TENANTS[0] if behind is Behind.OTHER_TENANT else SYSTEM

    def run() -> tuple[float, float, float]:
        before = [client.put(SYSTEM, body, _PLAN) for body in bodies]
        began = time.perf_counter()
        job = client.put(tenant, last, plan)
        ended = dict.fromkeys(before, 0.0)
        for name in (job, *before):
            client.ended(name)
            ended[name] = time.perf_counter() - began
        return ended[job], ended[before[0]] if before else 0, ended[before[-1]] if before else 0

    return run


def _under(care_plan: int, path: Path) -> bytes:
    """The cases of a file, all of one care plan."""
    return _PLAN_OF_A_CASE.sub(b'"carePlan_Key":%d' % care_plan, path.read_bytes())
