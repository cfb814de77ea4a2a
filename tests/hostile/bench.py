"""Each attack alone, and what it costs; then all of them together, beside another client."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.acceptance.system import NO_RATE, System, eventually, intake_beside, running, stopped_with_parent
from tests.hostile.attack import Scale
from tests.hostile.bounds import CONFIG, NOTHING_BYTES, Cost
from tests.hostile.catalogue import ATTACKS
from tests.hostile.generator import Orders, tallies_of
from tests.hostile.neighbour import Seen
from tests.hostile.readings import Ground, Used, watched
from tests.hostile.wire import Access, Tally

LONG = Scale(bomb_bytes=16 << 20, rounds=5, hold_s=5, niceness=19)
SHORT = Scale(bomb_bytes=4 << 20, rounds=1, hold_s=0.5, niceness=0)
"""For `make check`: beside other tests, attackers that give way get no processor time, and are cut off as too slow."""
_GONE_WITHIN_S = 60
_BATCHES = 2
_ATTACKER, _NEIGHBOUR = ("other", "demo"), ("demo", "demo_sqlite")


@dataclass
class Together:
    """All attacks at once: what another client has seen before and meanwhile, and what they used and were answered."""

    before: Seen
    meanwhile: Seen
    used: Used
    tallies: dict[str, Tally]


@dataclass
class Report:
    """Results of a run of attacks."""

    costs: list[Cost] = field(default_factory=list)
    together: Together | None = None

    @property
    def faults(self) -> list[str]:
        """Bounds that were exceeded."""
        return [fault for cost in self.costs for fault in cost.faults()]


def access_of(system: System, name: str, database: str, source: str) -> Access:
    """A client's way into a system."""
    who = next(client for client in system.stack["clients"] if client["name"] == name)
    url = urlsplit(system.stack["intake"]["url"])
    assert url.hostname is not None
    assert url.port is not None
    return Access(url.hostname, url.port, who["api_key"], who["bearer"], database, source)


@dataclass(frozen=True, slots=True)
class Attackers:
    """A generator that runs."""

    process: "subprocess.Popen[str]"

    def order(self, orders: Orders) -> None:
        """Have it prepare attacks."""
        self._tell(orders.line())
        assert self._told() == "ready\n"

    def begin(self) -> None:
        """Have it begin them."""
        self._tell("\n")

    def attacking(self) -> None:
        """Wait until those that have no end of their own are at it."""
        assert self._told() == "attacking\n"

    def end(self) -> None:
        """Have it end those that have no end of their own."""
        self._tell("\n")

    def tallies(self) -> dict[str, Tally]:
        """Wait for the end, and return what was sent and answered."""
        return tallies_of(self._told())

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def _told(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the generator ended with status {self.process.wait()}; its error is above"
        return line


@dataclass
class Bench:
    """A system under attack by one of its clients, and by nobody."""

    place: Path
    scale: Scale

    def run(self, names: Sequence[str], seconds: float, without: str | None, tell: Callable[[Cost], None]) -> Report:
        """Make each attack alone, then all together for so long, unless one of these is left out, on a system of its
        own: alone without a rate, together with the published one."""
        report = Report()
        (self.place / "hostile.toml").write_text(NO_RATE + CONFIG)
        with running(self.place, "--config", "hostile.toml") as system, _program("generator") as process:
            attackers = Attackers(process)
            if without != "alone":
                self._each(report, Ground.of(system, system), attackers, names, tell)
            if without != "together":
                place = self.place / "published"
                place.mkdir()
                with intake_beside(system, place, f"[intake]\n{CONFIG}") as intake:
                    report.together = self._together(Ground.of(system, intake), attackers, names, seconds)
        return report

    def run_beside(self, system: System, names: Sequence[str], tell: Callable[[Cost], None]) -> Report:
        """Do the same within seconds, at an intake beside a system that is there."""
        report = Report()
        with intake_beside(system, self.place, NO_RATE + CONFIG) as intake, _program("generator") as process:
            ground, attackers = Ground.of(system, intake), Attackers(process)
            self._each(report, ground, attackers, names, tell)
            report.together = self._together(ground, attackers, names, 0)
        return report

    def _each(
        self, report: Report, ground: Ground, attackers: Attackers, names: Sequence[str], tell: Callable[[Cost], None]
    ) -> None:
        for name in names:
            report.costs.append(self._alone(ground, attackers, name))
            tell(report.costs[-1])

    def _alone(self, ground: Ground, attackers: Attackers, name: str) -> Cost:
        """Measure one attack, without a rate limit."""
        attack = ATTACKS[name]
        attackers.order(self._orders(ground, [name], endless=False))
        _settle(ground)
        before = ground.redis_bytes()
        with watched(ground) as used:
            attackers.begin()
            tally = attackers.tallies()[name]
            _settle(ground)
        if not attack.keeps:
            gone = before + NOTHING_BYTES
            eventually(lambda: ground.redis_bytes() < gone, _GONE_WITHIN_S, f"what Redis has of {name!r} goes")
        return Cost(name, attack, tally, used, ground.redis_bytes() - before)

    def _together(self, ground: Ground, attackers: Attackers, names: Sequence[str], seconds: float) -> Together:
        """Measure another client, of another database, under all attacks."""
        before = _neighbour(ground, seconds / 6) if seconds else Seen()
        attackers.order(self._orders(ground, names, endless=True))
        with watched(ground) as used:
            attackers.begin()
            attackers.attacking()
            meanwhile = _neighbour(ground, seconds)
            attackers.end()
            tallies = attackers.tallies()
        return Together(before, meanwhile, used, tallies)

    def _orders(self, ground: Ground, names: Sequence[str], endless: bool) -> Orders:
        access = access_of(ground.intake, *_ATTACKER, source="127.0.0.1")
        return Orders(access, names, self.scale, endless)


@contextmanager
def _program(name: str) -> Iterator["subprocess.Popen[str]"]:
    """One of the programs beside this module, ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.hostile.{name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=stopped_with_parent(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _neighbour(ground: Ground, seconds: float) -> Seen:
    """Measure another client for so many seconds, and while it sends some batches."""
    access = access_of(ground.intake, *_NEIGHBOUR, source="127.0.0.2")
    with _program("neighbour") as process:
        orders = {"access": asdict(access), "seconds": seconds, "batches": _BATCHES, "intake": ground.pids["intake"][0]}
        output, _ = process.communicate(json.dumps(orders) + "\n")
        assert process.returncode == 0
    return Seen(**json.loads(output))


def _settle(ground: Ground) -> None:
    """Wait until what was accepted is applied."""
    eventually(lambda: not ground.redis.scard("c:busy"), what="every job is final")
