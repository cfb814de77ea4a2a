"""Only the target database was restored: what docs/operations/backup.md says gives its cases back."""

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.system import System
from tests.builders import a_case
from tests.containers.deployment import block_of
from tests.containers.images import ROOT

from carecase_worker.settings.loading import process_environment

_PAGE = ROOT / "docs" / "operations" / "backup.md"


def test_batches_since_the_restored_time_are_applied_anew_once_their_jobs_are_purged(
    system: System, first_key: int
) -> None:
    before = system.send([a_case(first_key)])
    system.final(before)
    cases = [a_case(first_key + 1)]
    key = {"Idempotency-Key": f"nightly-{first_key}"}
    lost = system.send(cases, **key)
    since = system.final(lost)["submittedAt"]
    _restore(system, lost, first_key + 1)

    assert system.send(cases, **key) == lost, "to send it again is not enough"
    shown = _shell(system.place, block_of(_PAGE, "jobs purge").replace("2026-11-28T02:00:00Z", since))
    assert f"{lost} is purged" in shown

    again = system.send(cases, **key)
    assert (again == lost, system.final(again)["created"]) == (False, 1)
    assert [item["body"] for item in system.result(before)] == ["Created"], "what was before it is left alone"


def _restore(system: System, job: str, key: int) -> None:
    """Leave the database as it was before the job."""
    system.execute(f"DELETE FROM care_case WHERE case_key = {key}")
    system.execute(f"DELETE FROM ingest_ledger WHERE job_id = '{job}'")


def _shell(place: Path, script: str) -> str:
    """The output of lines for a shell, with `carecase` as the one under test."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=place,
        env=process_environment() | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
