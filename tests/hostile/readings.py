"""Resource use of a system: CPU seconds of each part, memory of intake and Redis in bytes."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil
import redis
from tests.acceptance.system import System

_SAMPLE_S = 0.1
PARTS = ("intake", "worker", "redis", "postgresql")


@dataclass(frozen=True, slots=True)
class Ground:
    """A running system, and the intake of it that is attacked."""

    system: System
    intake: System
    redis: "redis.Redis"
    pids: Mapping[str, list[int]]

    @classmethod
    def of(cls, system: System, intake: System) -> "Ground":
        """The ground that a system is, attacked at an intake of its own, or at one beside it."""
        pids: dict[str, list[int]] = dict(system.stack["processes"])
        if intake is not system:
            pids["intake"] = [intake.process.pid]
        url = system.stack["redis"]["url"]
        return cls(system, intake, redis.Redis.from_url(url), {part: pids[part] for part in PARTS})

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time of each part so far, with that of processes below it that have ended."""
        return {part: sum(map(_cpu_seconds, pids)) for part, pids in self.pids.items()}

    def intake_bytes(self) -> int:
        """Memory that the intake has."""
        return sum(int(psutil.Process(pid).memory_info().rss) for pid in self.pids["intake"])

    def redis_bytes(self) -> int:
        """Memory that Redis has for what it keeps: not for connections, nor for what it is just writing to disk."""
        memory = self.redis.info("memory")
        return int(memory["used_memory"] - memory["mem_clients_normal"] - memory["mem_aof_buffer"])


@dataclass
class Peaks:
    """The most memory that was used at a time above what was used before, in bytes."""

    intake: int = 0
    redis: int = 0


@dataclass
class Used:
    """Measure the use by each part within a block; complete once it has ended."""

    cpu: dict[str, float] = field(default_factory=dict)
    peaks: Peaks = field(default_factory=Peaks)


@contextmanager
def watched(ground: Ground) -> Iterator[Used]:
    """Watch a system while a block runs."""
    used, over = Used(), threading.Event()
    cpu, intake, kept = ground.cpu_seconds(), ground.intake_bytes(), ground.redis_bytes()

    def look() -> None:
        while not over.wait(_SAMPLE_S):
            used.peaks.intake = max(used.peaks.intake, ground.intake_bytes() - intake)
            used.peaks.redis = max(used.peaks.redis, ground.redis_bytes() - kept)

    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(look)
        try:
            yield used
        finally:
            over.set()
            watching.result()
            used.cpu = {part: seconds - cpu[part] for part, seconds in ground.cpu_seconds().items()}


def _cpu_seconds(pid: int) -> float:
    process, total = psutil.Process(pid), 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            total += sum(one.cpu_times()[:4])
    return total
