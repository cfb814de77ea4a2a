"""Bounds on the cost of an attack, derived from what the configuration lets one client have; and measured costs."""

from dataclasses import dataclass

from tests.hostile.attack import Attack
from tests.hostile.readings import Used
from tests.hostile.wire import Tally

CLIENT_BYTES = 32 << 20
CLIENT_JOBS = 5000
BODIES = 16
CONFIG = f"""max_bodies_per_client = {BODIES}
[jobs]
max_client_bytes = {CLIENT_BYTES}
max_client_jobs = {CLIENT_JOBS}
"""
"""Of what the bounds follow from. A client may have less than by default, so that attacks can reach it."""

_MS_A_REQUEST = 25
"""CPU time of the intake and Redis, on a slow machine: some times what a request takes that is answered with little."""
_NS_A_BYTE = 300
"""CPU time for each byte sent and answered."""
_NS_A_DECODED_BYTE = 1000
"""CPU time for each byte that a body decodes to, as `tests/unit/test_splitting_costs.py` holds it for the worst."""
_BASE_S = 0.3
"""CPU time that a part takes for itself meanwhile."""
_BODY_BYTES = 16 << 20
"""Memory of a body: pieces as sent, a window of 8 MiB, an item and a chunk that are not complete."""
_BASE_BYTES = 48 << 20
"""Memory that the allocator keeps, and answers on their way."""
_REDIS_BASE_BYTES = 4 << 20
NOTHING_BYTES = 1 << 20
"""Of what Redis keeps nothing, the space that it may have kept in the tables of its keys."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests of an attack, and the resources used; `left` is what Redis has in the end above what it had before."""

    name: str
    attack: Attack
    tally: Tally
    used: Used
    left: int

    @property
    def cpu(self) -> float:
        """CPU seconds of what answers requests: of intake and Redis."""
        return self.used.cpu["intake"] + self.used.cpu["redis"]

    def faults(self) -> list[str]:
        """Describe each bound that was exceeded, and an attack that did not end as defined."""
        tally, peaks = self.tally, self.used.peaks
        bounds = {
            "CPU seconds": (self.cpu, self._most_cpu()),
            "bytes of the intake": (peaks.intake, self._most_memory()),
            "bytes of Redis": (peaks.redis, CLIENT_BYTES + CLIENT_BYTES // 4 + _REDIS_BASE_BYTES),
        }
        over = [
            f"{self.name}: {what} {is_:,.2f}, at most {most:,.2f}" for what, (is_, most) in bounds.items() if is_ > most
        ]
        ends = set(tally.ends) - set(self.attack.may_end.split())
        if not tally.ends or ends != set(self.attack.ends.split()):
            over.append(f"{self.name}: ended by {' '.join(sorted(ends)) or 'nothing'}, not by {self.attack.ends}")
        return over

    def _most_cpu(self) -> float:
        tally = self.tally
        by_bytes = (tally.sent + tally.received) * _NS_A_BYTE + tally.decoded * _NS_A_DECODED_BYTE
        return _BASE_S + tally.requests * _MS_A_REQUEST / 1e3 + by_bytes / 1e9

    def _most_memory(self) -> int:
        return _BASE_BYTES + min(self.attack.lanes, BODIES) * _BODY_BYTES
