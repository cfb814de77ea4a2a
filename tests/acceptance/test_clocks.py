"""Hosts whose clocks are a day off: order and times are Redis's, and the operator learns of it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.acceptance.system import COMMAND, System, eventually, run
from tests.builders import a_case
from tests.faketime import shifted_by
from tests.plain_http import http_client, http_get
from tests.ports import free_port

from carecase_worker.embedded.stack import running_stack
from carecase_worker.settings.loading import process_environment


@contextmanager
def role(system: System, name: str, offset: str, log: Path, **variables: str) -> Iterator[None]:
    """One more process of a role of a running system, on a host whose clock is off."""
    settings = running_stack(system.data_dir / "stack.json").environment()
    environment = {**process_environment(), **settings, **variables, **shifted_by(offset)}
    with log.open("w") as output:
        process = subprocess.Popen([*COMMAND, name], cwd=log.parent, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def offsets(system: System, role: str) -> list[float]:
    """The offsets of the clocks of a role's hosts, by the metrics."""
    lines = [line for line in system.metrics() if line.startswith("carecase_clock_offset_seconds{")]
    return [float(line.rpartition(" ")[2]) for line in lines if f'role="{role}"' in line]


def logged_reasons(log: Path) -> list[str]:
    """What a process says of its clock."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line["reason"] for line in lines if line["event"] == "the clock is off"]


def test_an_intake_that_is_a_day_ahead_accepts_now(system: System, first_key: int, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "intake.log"
    with role(system, "intake", "+1d", log, CARECASE_INTAKE_PORT=str(port)), system.client() as client:
        ahead = http_client(base_url=f"http://127.0.0.1:{port}", headers=client.headers, timeout=30)
        eventually(lambda: _answers(ahead), what="the intake is there")
        began, jobs = datetime.now(UTC), []
        for key, sender in enumerate((client, ahead, client, ahead), first_key):
            jobs.append(sender.put("/care-cases-batch", json=[a_case(key), a_case(first_key)]).json()["job"])
        for job in jobs:
            system.final(job["jobId"])
        ended = datetime.now(UTC)
        final = ahead.get(f"/jobs/{jobs[1]['jobId']}").json()["data"]
        eventually(lambda: logged_reasons(log), what="the log says so")
        own = [
            line
            for line in http_get(f"{ahead.base_url}/metrics").text.splitlines()
            if line.startswith("carecase_clock_offset_seconds") and 'role="intake"' in line
        ]
    moments = [datetime.fromisoformat(job["submittedAt"]) for job in jobs]
    assert [began, *moments, ended] == sorted({began, *moments, ended})
    assert [job["sequence"] for job in jobs] == sorted({job["sequence"] for job in jobs})
    assert moments[1] < datetime.fromisoformat(final["startedAt"]) < datetime.fromisoformat(final["finishedAt"]) < ended
    dates = system.query(
        f"SELECT entry_date, update_date FROM care_case WHERE case_key BETWEEN {first_key} AND {first_key + 3}"
    )
    assert len(dates) == 4
    assert {date for row in dates for date in row} <= set(moments)
    assert logged_reasons(log) == ["this host's clock is 86400 s ahead of Redis's; synchronise both by NTP"]
    assert 86_395 < float(own[0].rpartition(" ")[2]) < 86_405


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(("offset", "seconds"), [("+1d", 86_400), ("-1d", -86_400)])
def test_a_worker_that_is_a_day_off_works_like_any_other(
    system: System, first_key: int, tmp_path: Path, offset: str, seconds: int
) -> None:
    log = tmp_path / "worker.log"
    with role(system, "worker", offset, log):
        eventually(lambda: [one for one in offsets(system, "worker") if abs(one - seconds) < 5], what="it is seen")
        began = datetime.now(UTC)
        job_ids = [system.send([a_case(first_key + n) for n in range(3_000)]) for _ in range(3)]
        jobs = [system.final(job_id) for job_id in job_ids]
        doctor = run("doctor", cwd=system.place)
    assert [job["failed"] for job in jobs] == [0, 0, 0]
    now = datetime.now(UTC)
    for job in jobs:
        moments = [datetime.fromisoformat(job[name]) for name in ("submittedAt", "startedAt", "finishedAt")]
        assert [began, *moments, now] == sorted([began, *moments, now])
    side = "ahead of" if seconds > 0 else "behind"
    assert logged_reasons(log) == [f"this host's clock is 86400 s {side} Redis's; synchronise both by NTP"]
    assert any(
        line.startswith("fix") and "clocks: " in line and "86400 s" in line for line in doctor.stdout.splitlines()
    )
    assert "taken back from dead processes" not in log.read_text()
    eventually(lambda: not [one for one in offsets(system, "worker") if abs(one) > 5], what="it is gone")
