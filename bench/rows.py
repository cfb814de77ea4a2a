"""A file of rows beside the same cases as JSON, in turns on one running system: python -m bench.rows PLACE

PLACE is where `carecase up` runs with `rate_per_second = 0`. Rates, processor time and memory of the intake.
"""

import argparse
import csv
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from carecase_worker.cases.care_case import FIELDS
from carecase_worker.cli.sending.sample import cases
from carecase_worker.clock import SeededRandom

_PIECE_BYTES = 256 << 10
_LOOK_S = 0.1
_TYPES = {".json": "application/json", ".csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class Found:
    """What one batch took: seconds until it was accepted and final, CPU seconds and memory of the intake."""

    accepted_s: float
    final_s: float
    cpu_s: float
    before_bytes: int
    most_bytes: int


class Intake:
    """The processes of the intake, and a client of it."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._processes = [psutil.Process(pid) for pid in stack["processes"]["intake"]]
        who = stack["clients"][0]
        headers = {"x-api-key": who["api_key"], "Authorization": f"Bearer {who['bearer']}"}
        self.client = httpx.Client(
            base_url=stack["intake"]["url"], headers={**headers, "vbasoftware-database": "demo"}, timeout=600
        )

    def cpu_s(self) -> float:
        """The processor time so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._family())

    def memory_bytes(self) -> int:
        """The resident memory now."""
        return sum(one.memory_info().rss for one in self._family())

    @contextmanager
    def watched(self) -> Iterator[list[int]]:
        """Note the memory while something is done."""
        noted, ended = [self.memory_bytes()], threading.Event()

        def watch() -> None:
            while not ended.wait(_LOOK_S):
                noted.append(self.memory_bytes())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield noted
        finally:
            ended.set()
            thread.join()

    def send(self, file: Path) -> Found:
        """Send a batch, and wait until it is final."""
        began, cpu_s = time.monotonic(), self.cpu_s()
        with self.watched() as noted:
            response = self.client.put(
                "/care-cases-batch", content=_pieces(file), headers={"content-type": _TYPES[file.suffix]}
            )
            assert response.status_code == 202, response.text
            accepted_s = time.monotonic() - began
            job = response.json()["job"]
            while job["state"] != "completed":
                job = self.client.get(f"/jobs/{job['jobId']}", headers={"Prefer": "wait=30"}).json()["data"]
        assert not job["failed"], job
        return Found(accepted_s, time.monotonic() - began, self.cpu_s() - cpu_s, noted[0], max(noted))

    def _family(self) -> list[psutil.Process]:
        return [one for process in self._processes for one in (process, *process.children(recursive=True))]


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece


def _write(place: Path, count: int) -> tuple[Path, Path]:
    """Write the same cases as JSON and as CSV."""
    as_json, as_csv = place / "bench.json", place / "bench.csv"
    with as_json.open("w") as array, as_csv.open("w", newline="") as table:
        rows = csv.DictWriter(table, [field.name for field in FIELDS])
        rows.writeheader()
        before = "["
        for case in cases(count, SeededRandom(1), None):
            array.write(before + json.dumps(case, separators=(",", ":")))
            rows.writerow({name: str(one).lower() if isinstance(one, bool) else one for name, one in case.items()})
            before = ","
        array.write("]")
    return as_json, as_csv


def main() -> None:
    """Send both in turns and print what each took, then the ratio of the rates."""
    parser = argparse.ArgumentParser(prog="python -m bench.rows", description=__doc__)
    parser.add_argument("place", type=Path, help="where carecase up runs")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    intake = Intake(json.loads((options.place / ".carecase" / "stack.json").read_text()))
    files = _write(options.place, options.items)
    intake.send(files[0])  # so that both update
    took: dict[str, list[float]] = {file.suffix: [] for file in files}
    for _ in range(options.rounds):
        for file in files:
            found = intake.send(file)
            took[file.suffix].append(found.final_s)
            print(
                f"{file.suffix:6} {options.items / found.final_s:9,.0f} cases/s, accepted in {found.accepted_s:.1f} s,"
                f" {found.cpu_s / options.items * 1e6:.2f} us of the intake a case,"
                f" {found.before_bytes >> 20} to {found.most_bytes >> 20} MiB",
                flush=True,
            )
    as_json, as_csv = (statistics.median(took[file.suffix]) for file in files)
    print(f"rows at {as_json / as_csv:.2f} of the rate of JSON (medians)")


if __name__ == "__main__":
    main()
