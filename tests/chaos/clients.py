"""Clients that send overlapping batches, try again until 202, and remember what was accepted."""

import time
from dataclasses import replace
from datetime import UTC, datetime
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


class Client(Thread):
    """One client with a chance of its own."""

    def __init__(self, system: System, name: str, seed: int, stop: Event) -> None:
        super().__init__(name=name, daemon=True)
        self.accepted: list[Sent] = []
        self.refused = 0
        self._system = system
        self._dice = Random(seed)
        self._stop_sending = stop
        self._lock = Lock()

    def run(self) -> None:
        """Send batches until told to stop; each until it is accepted."""
        number = 0
        while not self._stop_sending.is_set():
            number += 1
            self._send(f"{self.name}-{number}")
            time.sleep(self._dice.uniform(0, 0.3))

    def _send(self, key: str) -> None:
        dice = self._dice
        database = dice.choice(DATABASES)
        care_plan = dice.choice((None, None, None, *CARE_PLANS))
        own = 1000 * care_plan if care_plan and dice.random() < 0.5 else 0  # cases that no other care plan has, or any
        size = dice.choice((1, 1, 1, 3, 3, 40, 200, 900))
        cases = [self._case(f"{key}.{place}", care_plan, own) for place in range(size)]
        path = "/care-cases-batch" if care_plan is None else f"/care-plans/{care_plan}/cases-batch"
        began = datetime.now(UTC)
        while True:
            job = self._put(path, cases, {"Idempotency-Key": key, "vbasoftware-database": database})
            if job is not None:
                break
            self.refused += 1
            time.sleep(dice.uniform(0.05, 0.3))
        sent = Sent(job["jobId"], began, datetime.now(UTC), database, care_plan, cases)
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
                answer = client.put(path, json=cases, headers=headers, timeout=15)
        except (httpx.HTTPError, OSError, ValueError):
            return None
        assert answer.status_code in (202, 503), f"{answer.status_code}: {answer.text}"
        return dict(answer.json()["job"]) if answer.status_code == 202 else None

    def _cancel(self, job_id: str) -> bool:
        """Ask for the job to be cancelled; whether it may have been."""
        try:
            with self._system.client() as client:
                return client.delete(f"/jobs/{job_id}", timeout=15).status_code != 409
        except (httpx.HTTPError, OSError, ValueError):
            return True
