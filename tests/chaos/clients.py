"""Clients that send overlapping batches, try again until 202, and remember what was accepted."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from random import Random
from threading import Event, Lock, Thread
from typing import Any

import httpx
from tests.acceptance.system import System
from tests.chaos.clocks import intakes
from tests.chaos.replay import Case, Sent

KEYS = 60
CARE_PLANS = (5, 6, 7)
TRIPS = "TRIPS"
"""The `case_Reason` of cases over which the triggers of `faults.fail_over_some_cases` fail."""
DATABASES = ("demo", "demo", "demo", "demo_sqlite")
SIZES, SMALL = (1, 3, 40, 200, 900), (1, 1, 2)
AT_ONCE = 10
LONGEST_WAIT_S = 10
DRY_RUNS = 0.15
"""The part of all batches that are dry runs."""


@contextmanager
def _noting_death(name: str, surprises: list[str]) -> Iterator[None]:
    """Note the error that ends a client, so that the run fails: the others would go on without it."""
    try:
        yield
    except Exception as end:
        surprises.append(f"nothing: client {name} ended with {end!r}")
        raise


class Client(Thread):
    """One client with a chance of its own."""

    def __init__(self, system: System, name: str, seed: int, stop: Event, sizes: Sequence[int] = SIZES) -> None:
        super().__init__(name=name, daemon=True)
        self.accepted: list[Sent] = []
        self.refused = 0
        self.surprises: list[str] = []
        """Answers that nobody should get, whatever is broken."""
        self._sizes = sizes
        self._system = system
        self._dice = Random(seed)
        self._stop_sending = stop
        self._lock = Lock()

    def run(self) -> None:
        """Send batches until it is stopped; each until it is accepted."""
        number = 0
        with _noting_death(self.name, self.surprises):
            while not self._stop_sending.is_set():
                number += 1
                self.send(f"{self.name}-{number}")
                if self._dice.random() < 0.5:
                    self._await_end(self.accepted[-1].job_id)
                time.sleep(self._dice.uniform(0, 0.3))  # the pace of the client, by chance

    def _await_end(self, job_id: str) -> None:
        """Wait for a batch to end, but not for long: a backlog that is always full lets small ones in one by one only.

        Then there are no groups.
        """
        until, job = time.monotonic() + LONGEST_WAIT_S, None
        while (job is None or job["finishedAt"] is None) and time.monotonic() < until:
            if self._stop_sending.wait(0.2):
                return
            with suppress(httpx.HTTPError, OSError, ValueError):
                job = self._system.job(job_id)

    def send(self, key: str) -> None:
        """Send a batch until it is accepted."""
        dice = self._dice
        database = dice.choice(DATABASES)
        care_plan = dice.choice((None, None, None, *CARE_PLANS))
        own = 1000 * care_plan if care_plan and dice.random() < 0.5 else 0  # cases that no other care plan has, or any
        size = dice.choice(self._sizes)
        cases = [self._case(f"{key}.{place}", care_plan, own) for place in range(size)]
        path = "/care-cases-batch" if care_plan is None else f"/care-plans/{care_plan}/cases-batch"
        is_dry_run = dice.random() < DRY_RUNS
        path += "?dryRun=true" if is_dry_run else ""
        began = datetime.now(UTC)
        while True:
            job = self._put(path, cases, {"Idempotency-Key": key, "vbasoftware-database": database})
            if job is not None:
                break
            self.refused += 1
            time.sleep(dice.uniform(0.05, 0.3))  # the client tries again, as clients do
        sent = Sent(job["jobId"], began, datetime.now(UTC), database, care_plan, cases, dry_run=is_dry_run)
        if dice.random() < 0.05:
            sent = replace(sent, cancelled=self._cancel(job["jobId"]))
        with self._lock:
            self.accepted.append(sent)

    def _case(self, name: str, care_plan: int | None, above: int) -> Case:
        dice = self._dice
        case: dict[str, Any] = {
            "case_Key": above + dice.randint(1, KEYS),
            "carePlan_Key": dice.choice(CARE_PLANS) if care_plan is None or dice.random() < 0.03 else care_plan,
            "do_Not_Contact": False,
            "case_ID": name,
        }
        if dice.random() < 0.3:
            case["entry_User"] = name[-20:]
        if dice.random() < 0.03:
            case["case_Reason"] = TRIPS
        if dice.random() < 0.03:
            case |= dice.choice(({"case_Key": "1"}, {"case_Status": "far too long"}))
        return case

    def _put(self, path: str, cases: list[Case], headers: dict[str, str]) -> dict[str, Any] | None:
        try:
            with self._system.client(database=None) as client:
                client.base_url = self._dice.choice(intakes(self._system))
                response = client.put(path, json=cases, headers=headers, timeout=15)
        except (httpx.HTTPError, OSError, ValueError):
            return None
        if response.status_code not in (202, 503):
            self.surprises.append(f"{response.status_code}: {response.text}")
        return dict(response.json()["job"]) if response.status_code == 202 else None

    def _cancel(self, job_id: str) -> bool:
        """Ask for the job to be cancelled; whether it may have been."""
        try:
            with self._system.client() as client:
                response = client.delete(f"/jobs/{job_id}", timeout=15)
        except (httpx.HTTPError, OSError, ValueError):
            return True
        if response.status_code not in (202, 409, 503):
            self.surprises.append(f"DELETE {response.status_code}: {response.text}")
        return response.status_code != 409


class Crowd(Thread):
    """Clients that send small batches at the same time, so that these are applied in groups."""

    def __init__(self, system: System, name: str, seed: int, stop: Event) -> None:
        super().__init__(name=name, daemon=True)
        self._dice = Random(seed)
        self._stop_sending = stop
        self._clients = [Client(system, f"{name}.{n}", seed * 100 + n, stop, SMALL) for n in range(AT_ONCE)]

    @property
    def accepted(self) -> list[Sent]:
        return [sent for client in self._clients for sent in client.accepted]

    @property
    def surprises(self) -> list[str]:
        return [surprise for client in self._clients for surprise in client.surprises]

    @property
    def refused(self) -> int:
        return sum(client.refused for client in self._clients)

    def run(self) -> None:
        """Send until they are stopped; the next ones once all are accepted."""
        number = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while not self._stop_sending.is_set():
                number += 1
                list(pool.map(partial(self._one, number), self._clients))
                time.sleep(self._dice.uniform(0, 0.3))  # the pace of the client, by chance

    @staticmethod
    def _one(number: int, client: Client) -> None:
        with _noting_death(client.name, client.surprises):
            client.send(f"{client.name}-{number}")
