"""This system's other side: a client that sends batches from memory and polls until they are final."""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crew import BenchError

Access = tuple[str, str]
"""The intake's address, and an API key."""
Batches = Sequence[tuple[str, Path]]
"""Databases, and what goes to them."""

_POLL_S = 0.02
_POLL_CLOSELY_S = 0.003
_FINAL = ("completed", "cancelled")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one batch took to be accepted, and to be final; seconds from the first byte of the PUT."""

    accepted_s: float
    final_s: float


class Client:
    """A kept connection to the intake."""

    def __init__(self, access: Access) -> None:
        address, api_key = access
        self._headers = {"x-api-key": api_key, "User-Agent": "bench"}
        self._connection = http.client.HTTPConnection(address, timeout=300)
        self._connection.connect()

    def put(self, database: str, body: bytes, care_plan: int | None = None) -> str:
        """Send a batch; its job's id. Raises BenchError if it is not accepted."""
        headers = {"vbasoftware-database": database, "Content-Type": "application/json"}
        path = "/care-cases-batch" if care_plan is None else f"/care-plans/{care_plan}/cases-batch"
        _, content = self._call("PUT", path, 202, headers, body)
        return str(json.loads(content)["job"]["jobId"])

    def job(self, job_id: str, **headers: str) -> tuple[dict[str, Any], bool]:
        """The job, and whether the intake has held the answer until there was something to say."""
        was_held, content = self._call("GET", f"/jobs/{job_id}", 200, headers)
        return dict(json.loads(content)["data"]), was_held

    def ended(self, job_id: str, every_s: float = _POLL_CLOSELY_S) -> dict[str, Any]:
        """The job once it is final: by long polls where the intake has them, else by polls."""
        while True:
            job, was_held = self.job(job_id, Prefer="wait=20")
            if job["state"] in _FINAL:
                return job
            if not was_held:
                time.sleep(every_s)

    def final(self, job_id: str, every_s: float) -> dict[str, Any]:
        """The same. Raises BenchError if not every case was applied."""
        job = self.ended(job_id, every_s)
        if job["created"] + job["updated"] + job["superseded"] != job["total"]:
            raise BenchError(f"not every case was applied: {job}")
        return job

    def result(self, job_id: str) -> int:
        """Fetch the result; its size in bytes."""
        return len(self._call("GET", f"/jobs/{job_id}/result", 207, {})[1])

    def _call(
        self, method: str, path: str, expected: int, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[bool, bytes]:
        self._connection.request(method, path, body, {**self._headers, **headers})
        response = self._connection.getresponse()
        content = response.read()
        if response.status != expected:
            raise BenchError(f"{method} {path} gave {response.status}: {content[:500].decode()}")
        return "Preference-Applied" in response.headers, content


def send(access: Access, lines: Sequence[Batches]) -> Callable[[], float]:
    """Send several lines of batches side by side, those of one line one right after the other; return once all are
    final, with the CPU seconds that this took."""
    loaded = [(Client(access), [(database, path.read_bytes()) for database, path in batches]) for batches in lines]

    def carry(line: tuple[Client, list[tuple[str, bytes]]]) -> None:
        client, batches = line
        for job_id in [client.put(database, body) for database, body in batches]:
            client.final(job_id, _POLL_S)

    def run() -> float:
        before = time.process_time()
        if len(loaded) == 1:
            carry(loaded[0])
        else:
            with ThreadPoolExecutor(len(loaded)) as threads:
                list(threads.map(carry, loaded))
        return time.process_time() - before

    return run


def time_batches(access: Access, database: str, path: Path, count: int) -> Callable[[], list[Timing]]:
    """Send a batch so often, each time when the last one is final."""
    client, body = Client(access), path.read_bytes()

    def once() -> Timing:
        start = time.perf_counter()
        job_id = client.put(database, body)
        accepted = time.perf_counter()
        client.final(job_id, _POLL_CLOSELY_S)
        return Timing(accepted - start, time.perf_counter() - start)

    return lambda: [once() for _ in range(count)]


def time_polls(access: Access, database: str, path: Path) -> Callable[[], list[float]]:
    """Send a batch, and poll it fifty times a second while it is applied; the seconds that each poll took."""
    client, body = Client(access), path.read_bytes()

    def polls(job_id: str) -> Iterator[float]:
        while True:
            start = time.perf_counter()
            job, _ = client.job(job_id)
            yield time.perf_counter() - start
            if job["state"] in _FINAL:
                return
            time.sleep(_POLL_S)

    return lambda: list(polls(client.put(database, body)))


def time_results(access: Access, database: str, path: Path, count: int) -> Callable[[], list[float]]:
    """Send a batch, and fetch its result so often once it is final; the seconds that each took."""
    client, body = Client(access), path.read_bytes()

    def run() -> list[float]:
        job_id = client.put(database, body)
        client.final(job_id, _POLL_S)
        return [_seconds(lambda: client.result(job_id)) for _ in range(count)]

    return run


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
