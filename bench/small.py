"""Small batches over several connections: this system beside the plain way, FastAPI with Celery and SQLAlchemy."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import psycopg

from bench.arena import PEERS, SYSTEM, Arena, Before
from bench.cases import CaseFiles
from bench.contestants import plain_api
from bench.contestants.tasks import BROKER, DATABASE
from bench.crew import BenchError, crew

_SEED = 5
_LOOK_S = 0.02
_UP_WITHIN_S = 60
_PLANS = 20


@dataclass(frozen=True, slots=True)
class Load:
    """So many batches of a size over so many connections; each of the next of some care plans, or none in the path."""

    size: int
    connections: int
    batches: int
    care_plans: int = 0


USUAL = (
    *(Load(size, connections, 600 if size < 100 else 200) for size in (1, 10, 100) for connections in (1, 16, 64)),
    Load(1, 16, 600, _PLANS),
)
QUICK = (Load(1, 4, 20), Load(10, 4, 20, _PLANS))


@dataclass(frozen=True, slots=True)
class Found:
    """What one run took: batches a second accepted and applied, each 202's seconds, and CPU seconds by process."""

    accepted_per_s: float
    applied_per_s: float
    seconds: list[float]
    cpu: dict[str, float]


@dataclass(frozen=True)
class Side:
    """One of those who are compared: where requests go, with which headers; which table they fill; what it costs."""

    address: str
    headers: str
    dsn: str
    cpu: Callable[[], dict[str, float]]


def system(arena: Arena) -> Side:
    """This system."""
    address, key = arena.access
    return Side(
        address, f"x-api-key: {key}\r\nvbasoftware-database: {SYSTEM}\r\n", arena.dsn(SYSTEM), arena.cpu_seconds
    )


@contextmanager
def plain(arena: Arena) -> Iterator[Side]:
    """The plain way, on the same servers: one API process, a worker of as many pool processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, BROKER: arena.redis_url, DATABASE: arena.url(PEERS)}
    pools = sum(len(psutil.Process(pid).children()) for pid in arena.stack["processes"]["worker"])
    commands = {
        "worker": ["celery", "-A", "bench.contestants.plain_tasks", "worker", "-c", str(pools), "--loglevel=WARNING"],
        "api": ["uvicorn", "bench.contestants.plain_api:app", "--port", str(port), "--no-access-log"],
    }
    with (arena.place / "plain.log").open("a") as log:
        started = {
            name: subprocess.Popen(
                [sys.executable, "-m", *command], env=environment, stdout=log, stderr=log, start_new_session=True
            )
            for name, command in commands.items()
        }
        try:
            _require_up(port, started["api"], arena.place / "plain.log")
            yield Side(
                f"127.0.0.1:{port}",
                f"x-api-key: {plain_api.KEY}\r\n",
                arena.dsn(PEERS),
                lambda: {name: _cpu_seconds(process.pid) for name, process in started.items()},
            )
        finally:
            for process in started.values():
                process.terminate()
                process.wait(30)


@dataclass(frozen=True)
class SmallBatches:
    """Runs loads against this system and the plain way in turn."""

    arena: Arena
    files: CaseFiles
    loads: Sequence[Load]
    rounds: int

    def run(self) -> dict[Load, tuple[list[Found], list[Found]]]:
        """For each load what was found in each round: of this system, and of the plain way (none with care plans)."""
        ours = system(self.arena)
        with plain(self.arena) as theirs:
            for side in (ours, theirs):
                self.once(side, Load(1, 4, 40))  # every process has had one
            return {
                load: (
                    [self.once(ours, load) for _ in range(self.rounds)],
                    [self.once(theirs, load) for _ in range(0 if load.care_plans else self.rounds)],
                )
                for load in self.loads
            }

    def once(self, side: Side, load: Load) -> Found:
        """Send a load to a side, and wait until all of it is applied."""
        path = self.files.file(load.size * load.batches, _SEED)
        for database in (SYSTEM, PEERS):
            self.arena.reset(database, Before.EMPTY, path)
        self.arena.settle()
        with (
            psycopg.connect(side.dsn, autocommit=True) as connection,
            crew("bench.small:send", [(side.address, side.headers, path, load)]) as run,
        ):
            before, start = side.cpu(), time.perf_counter()
            ((accepted_s, seconds),) = run()
            while _count(connection) < load.size * load.batches:
                time.sleep(_LOOK_S)
            applied_s = time.perf_counter() - start
            after = side.cpu()
        cpu = {name: after[name] - before[name] for name in after}
        return Found(load.batches / accepted_s, load.batches / applied_s, seconds, cpu)


def send(address: str, headers: str, path: Path, load: Load) -> Callable[[], tuple[float, list[float]]]:
    """Send the cases of a file in batches; how long until all were accepted, and how long each took."""
    requests = list(_requests(address, headers, path, load))
    return lambda: asyncio.run(_sent(address, requests, load.connections))


def _requests(address: str, headers: str, path: Path, load: Load) -> Iterator[bytes]:
    cases = msgspec.json.decode(path.read_bytes())
    for number in range(load.batches):
        some: list[dict[str, Any]] = cases[number * load.size : (number + 1) * load.size]
        target = "/care-cases-batch"
        if load.care_plans:
            plan = 1 + number % load.care_plans
            target = f"/care-plans/{plan}/cases-batch"
            some = [{**case, "carePlan_Key": plan} for case in some]
        body = msgspec.json.encode(some)
        head = (
            f"PUT {target} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench\r\n{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


async def _sent(address: str, requests: Sequence[bytes], connections: int) -> tuple[float, list[float]]:
    left, seconds, start = iter(requests), list[float](), time.perf_counter()
    host, _, port = address.rpartition(":")

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for request in left:
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 202 " not in head[:14]:
                raise BenchError(f"a batch was not accepted: {head[:200].decode()}")
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            seconds.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return time.perf_counter() - start, seconds


def _count(connection: "psycopg.Connection[tuple[int]]") -> int:
    found = connection.execute("SELECT count(*) FROM care_case").fetchone()
    return found[0] if found else 0


def _require_up(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _UP_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as looking:
            if looking.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise BenchError(f"the plain way did not start:\n{log.read_text()}")


def _cpu_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:4]) for one in (process, *process.children(recursive=True)))
