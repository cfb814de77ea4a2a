"""Clients and a killer let loose on a system, for so long; then the database and every result against a replay."""

import re
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from threading import Event
from typing import Any
from uuid import UUID

import httpx
import psutil
import psycopg
import redis
from tests.acceptance.system import NO_RATE, System, eventually, running
from tests.chaos.attempts import held_twice
from tests.chaos.callbacks import VARIABLES, called_back
from tests.chaos.clients import Client, Crowd
from tests.chaos.clocks import intake_with_a_clock
from tests.chaos.commits import GATE
from tests.chaos.faults import WEIGHTS, Fault
from tests.chaos.replay import Found, Sent, Verdict, compare

CONFIG = NO_RATE + "[jobs]\nchunk_items = 25\nwidth = 3\nmax_backlog_jobs = 100\n"
CLIENTS = 4
FEWEST = 5
SETTLE_S = 300
_FAILED = '"request failed"'
SKEW = timedelta(milliseconds=50)
AUDIT = {
    "demo": (
        "CREATE TABLE audit (case_key int, version bigint)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit"
        " VALUES (NEW.case_key, NEW.ingest_version); RETURN NULL; END $$",
        "CREATE TRIGGER note AFTER INSERT OR UPDATE OF ingest_version ON care_case"
        " FOR EACH ROW EXECUTE FUNCTION note()",
        *GATE,
    ),
    "demo_sqlite": (
        "CREATE TABLE audit (case_key int, version bigint)",
        "CREATE TRIGGER note_insert AFTER INSERT ON care_case BEGIN INSERT INTO audit"
        " VALUES (NEW.case_key, NEW.ingest_version); END",
        "CREATE TRIGGER note_update AFTER UPDATE OF ingest_version ON care_case BEGIN INSERT INTO audit"
        " VALUES (NEW.case_key, NEW.ingest_version); END",
    ),
}


@dataclass
class Report:
    """What a run did and what it found."""

    seed: int
    seconds: float
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    batches: int = 0
    dry_runs: int = 0
    items: int = 0
    refused: int = 0
    doubled: int = 0
    attempts: int = 0
    held_twice: int = 0
    untimely: int = 0
    unfinished: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    callbacks: list[str] = field(default_factory=list)
    called_back: int = 0
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether there was something to look at, and nothing was lost, doubled, stale, wrong, left unfinished or
        answered with 500.
        """
        sums = sum(one.lost + one.stale + one.wrong for one in self.verdicts.values())
        left = self.unfinished or self.surprises or self.callbacks
        looked_at = self.batches and self.attempts and self.called_back and self.verdicts
        return bool(looked_at) and not (sums or self.doubled or self.held_twice or self.untimely or left)

    def lines(self) -> list[str]:
        """The report for people."""
        report_lines = [
            f"seed {self.seed}, {self.seconds:.0f} s: {self.batches:,} batches, {self.items:,} items accepted"
        ]
        report_lines.append(f"dry runs among the batches: {self.dry_runs:,}")
        report_lines.append(f"answers that were no 202 and were tried again: {self.refused:,}")
        report_lines.append(
            f"{sum(self.faults.values())} faults; until cases were applied again, median and longest, in s:"
        )
        for name, count in sorted(self.faults.items()):
            waits = self.recoveries.get(name) or [0.0]
            report_lines.append(f"  {count:>4} × {name.replace('_', ' '):<60}{median(waits):>7.1f}{max(waits):>7.1f}")
        lost, stale, wrong = (sum(getattr(v, n) for v in self.verdicts.values()) for n in ("lost", "stale", "wrong"))
        report_lines.append(
            f"lost {lost}, doubled {self.doubled}, stale {stale}, wrong {wrong}, held by two at once {self.held_twice},"
            f" at a wrong time {self.untimely},"
            f" not final {len(self.unfinished)}, answers that nobody should get {len(self.surprises)}"
        )
        for database, verdict in self.verdicts.items():
            report_lines += [f"  {database}: {detail}" for detail in verdict.details]
        report_lines += [f"  not final: {job_id}" for job_id in self.unfinished[:20]]
        report_lines.append(f"{self.called_back:,} calls of a webhook, wrong with them: {len(self.callbacks)}")
        report_lines += [f"  {fault}" for fault in self.callbacks[:20]]
        report_lines += [f"  answered {surprise}" for surprise in self.surprises[:20]]
        report_lines += [f"  logged {line}" for line in self.logged[:20]]
        return report_lines


def run(place: Path, seed: int, seconds: float, kinds: Sequence[Fault] = tuple(WEIGHTS)) -> Report:
    """Run the harness in a directory of its own, with faults of some kinds."""
    report = Report(seed, seconds)
    with (
        called_back(seed) as callbacks,
        _configured(place, CONFIG + callbacks.config),
        _disk_of_its_own(place / ".carecase" / "valkey"),
        running(place, "--config", "chaos.toml", **VARIABLES) as system,
        intake_with_a_clock(system),
    ):
        for database, statements in AUDIT.items():
            for statement in statements:
                system.execute(statement, database)
        stop = Event()
        clients: list[Client | Crowd] = [
            *(Client(system, f"c{seed}-{number}", seed * 1000 + number, stop) for number in range(CLIENTS)),
            Crowd(system, f"c{seed}-crowd", seed, stop),
        ]
        for client in clients:
            client.start()
        _strike(system, Random(seed), seconds, kinds, report)
        stop.set()
        deadline = time.monotonic() + SETTLE_S
        eventually(partial(_ready, system), SETTLE_S, "an intake that the last fault killed is ready again")
        for client in clients:
            client.join(max(0.1, deadline - time.monotonic()))
            if client.is_alive():
                report.unfinished.append(f"{client.name}'s last batch is refused although nothing is broken any more")
        report.held_twice, report.attempts = held_twice(system.data_dir / "logs")
        _judge(system, [sent for client in clients for sent in client.accepted], report)
        jobs = [
            sent.job_id
            for client in clients
            for sent in client.accepted
            if not sent.dry_run and sent.job_id not in report.unfinished
        ]
        report.callbacks = callbacks.faults(system.stack["redis"]["url"], jobs)
        report.called_back = len(callbacks.receiver.received)
        report.refused = sum(client.refused for client in clients)
        report.surprises = [surprise for client in clients for surprise in client.surprises]
        if report.surprises:
            logs = [*(system.data_dir / "logs").glob("intake*.log"), *place.glob("*intake.log")]
            report.logged = [line for log in logs for line in log.read_text().splitlines() if _FAILED in line]
    return report


@contextmanager
def _configured(place: Path, text: str) -> Iterator[None]:
    (place / "chaos.toml").write_text(text)
    yield


@contextmanager
def _disk_of_its_own(place: Path) -> Iterator[None]:
    """A small disk at `place`, if this user may mount one: only then can it be filled."""
    place.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        print("No disk is filled in this run: mounting one takes root.", flush=True)
    try:
        yield
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def _strike(system: System, dice: Random, seconds: float, kinds: Sequence[Fault], report: Report) -> None:
    """About a fault a second, each of any kind, until the time is over and there were some."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or report.faults.total() < FEWEST:
        time.sleep(dice.uniform(0.2, 1.2))  # faults come by chance
        fault: Fault = dice.choices(kinds, weights=[WEIGHTS[kind] for kind in kinds])[0]
        try:
            fault(system, dice)
        except (redis.RedisError, psycopg.Error, OSError, IndexError, KeyError, psutil.Error, ValueError):
            continue  # what it was aimed at is down just now
        name = fault.__name__ if _has_worker(system) else f"{fault.__name__}, no worker left"
        report.faults[name] += 1
        report.recoveries[name].append(_until_progress(system))


def _has_worker(system: System) -> bool:
    """Whether a worker runs that has started its pool; until another one has, nothing can be applied."""
    for pid in system.stack["processes"]["worker"]:
        with suppress(psutil.Error, OSError):
            worker = psutil.Process(pid)
            (pending,) = re.findall(r"ShdPnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
            is_killed = int(pending, 16) & (1 << signal.SIGKILL - 1)  # on a busy machine it dies a moment later
            if not is_killed and worker.status() != psutil.STATUS_ZOMBIE and worker.children():
                return True
    return False


def _until_progress(system: System) -> float:
    """Seconds until a chunk is applied, at most twenty; the next fault may come before."""
    began = time.monotonic()
    before = _applied(system)
    while (waited := time.monotonic() - began) < 20:
        now = _applied(system)
        if before is None:
            before = now
        elif now is not None and now > before:
            break
        time.sleep(0.05)  # Redis sends no event of what is measured
    return waited


def _applied(system: System) -> int | None:
    """Items with an outcome, ever; None while Redis does not answer."""
    try:
        url = system.stack["redis"]["url"]
        with redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5) as store:
            return sum(int(value) for value in store.hvals("c:stats"))
    except (redis.RedisError, psycopg.Error, OSError, ValueError):
        return None


def _judge_moments(sent: Sent, final: Mapping[str, Any], report: Report) -> None:
    """Whatever a clock says, a batch was accepted while it was sent, then begun, then finished."""
    moments = [datetime.fromisoformat(final[name]) for name in ("submittedAt", "startedAt", "finishedAt")]
    if moments != sorted(moments) or not sent.before - SKEW <= moments[0] <= sent.after + SKEW:
        report.untimely += 1


def _ready(system: System) -> bool:
    """Whether the intake that is asked below is there again."""
    with suppress(httpx.TransportError), system.client() as client:
        return client.get("/readyz").status_code == 200
    return False


def _final(client: httpx.Client, job_id: str) -> dict[str, Any] | None:
    """The job once it is final; nothing is broken any more."""
    job = dict(client.get(f"/jobs/{job_id}").json()["data"] or {"state": "unknown"})
    return job if job["state"] in ("completed", "cancelled") else None


def _judge(system: System, accepted: list[Sent], report: Report) -> None:
    report.batches, report.items = len(accepted), sum(len(sent.cases) for sent in accepted)
    report.dry_runs = sum(sent.dry_run for sent in accepted)
    results: dict[str, list[Any]] = {}
    deadline = time.monotonic() + SETTLE_S
    with system.client() as client:
        for place, sent in enumerate(accepted):
            try:
                final = eventually(partial(_final, client, sent.job_id), max(0.1, deadline - time.monotonic()))
            except AssertionError:
                report.unfinished.append(sent.job_id)
                continue
            accepted[place] = replace(sent, seq=final["sequence"] or 0)
            _judge_moments(sent, final, report)
            items = client.get(f"/jobs/{sent.job_id}/result").json()["data"]
            results[sent.job_id] = [(item["id"][0]["value"], item["status"], item["body"]) for item in items]
    for database in AUDIT:
        rows = system.query("SELECT case_key, careplan_key, case_id, entry_user FROM care_case", database)
        cases = {key: (plan, case_id, user) for key, plan, case_id, user in rows}
        theirs = [sent for sent in accepted if sent.database == database and sent.job_id in results]
        written = set(system.query("SELECT case_key, version FROM audit", database))
        ledger = {str(UUID(str(job))) for (job,) in system.query("SELECT DISTINCT job_id FROM ingest_ledger", database)}
        report.verdicts[database] = compare(theirs, Found(cases, results, written, ledger), user="demo")
        doubled = "SELECT count(*) FROM (SELECT 1 FROM audit GROUP BY case_key, version HAVING count(*) > 1) AS twice"
        report.doubled += system.query(doubled, database)[0][0]
    eventually(lambda: system.query("SELECT 1"), 10)
