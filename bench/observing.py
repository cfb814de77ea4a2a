"""Costs of watching the system: its metrics scraped each second, each trace recorded, beside neither of the two.

Two systems stand beside each other, alike but for tracing, and take turns: one works while the other waits. So a drift
of the machine hits all alike.
"""

import http.client
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket

from bench.arena import Arena, arena
from bench.cases import CaseFiles
from bench.small import Found, Load, Side, SmallBatches, system

_EVERY_S = 1.0
_PROCESSES = 4
_CONFIG = """
[worker]
port = {port}
concurrency = {processes}
"""
_TRACING = """
[tracing]
endpoint = "{endpoint}"
"""


class Watched(Enum):
    """Ways in which a system is watched."""

    NOT = "not watched"
    SCRAPED = "metrics scraped each second"
    TRACED = "each trace recorded"


TARGETS = {Watched.SCRAPED: 0.02, Watched.TRACED: 0.08}
"""The part of the throughput and of the CPU time that each may cost."""
USUAL = (Load(1, 16, 4000), Load(10, 16, 3000), Load(10_000, 2, 20), Load(20_000, 2, 10))
QUICK = (Load(1, 4, 40), Load(1000, 2, 4))


@dataclass(frozen=True)
class _Way:
    """A side as it is watched, and the loads' runner for it."""

    side: Side
    batches: SmallBatches
    scraped: Sequence[str]
    """Addresses of the metrics that are scraped meanwhile."""


@dataclass(frozen=True)
class Observing:
    """Runs loads against a system that is watched in each way, in turn."""

    place: Path
    files: CaseFiles
    loads: Sequence[Load]
    rounds: int

    def run(self) -> dict[Load, dict[Watched, list[Found]]]:
        """What was found for each load, by the way of watching, in each round."""
        with ExitStack() as started:
            endpoint = started.enter_context(collector())
            plain, addresses = self._started(started, "plain", "")
            traced, _ = self._started(started, "traced", _TRACING.format(endpoint=endpoint))
            ways = {
                Watched.NOT: self._way(plain, ()),
                Watched.SCRAPED: self._way(plain, addresses),
                Watched.TRACED: self._way(traced, ()),
            }
            for way in ways.values():
                _once(way, Load(1, 4, 40))  # every process has had one
            return {load: self._rounds(ways, load) for load in self.loads}

    def _rounds(self, ways: dict[Watched, _Way], load: Load) -> dict[Watched, list[Found]]:
        found: dict[Watched, list[Found]] = {watched: [] for watched in ways}
        for number in range(self.rounds):
            for watched in ways if number % 2 == 0 else reversed(ways):
                found[watched].append(_once(ways[watched], load))
        return found

    def _started(self, started: ExitStack, name: str, more: str) -> tuple[Arena, tuple[str, ...]]:
        """Start a system with one worker; return it, and the addresses of its metrics."""
        port = _free_port()
        config = _CONFIG.format(port=port, processes=_PROCESSES) + more
        up = started.enter_context(arena(self.place / name, config, workers=1))
        return up, (up.access[0], f"127.0.0.1:{port}")

    def _way(self, up: Arena, addresses: Sequence[str]) -> _Way:
        return _Way(system(up), SmallBatches(up, self.files, (), 1), addresses)


def _once(way: _Way, load: Load) -> Found:
    with scraping(way.scraped):
        return way.batches.once(way.side, load)


@contextmanager
def scraping(addresses: Sequence[str]) -> Iterator[None]:
    """Fetch the metrics at some addresses each second, as Prometheus does."""
    over = threading.Event()

    def scrape() -> None:
        while addresses and not over.is_set():
            for address in addresses:
                connection = http.client.HTTPConnection(address, timeout=30)
                connection.request("GET", "/metrics")
                connection.getresponse().read()
                connection.close()
            over.wait(_EVERY_S)

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def collector() -> Iterator[str]:
    """A collector that takes spans and forgets them; its URL. Its own CPU time is no part of the figures."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _free_port() -> int:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
