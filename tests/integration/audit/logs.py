"""Audit logs in a directory: what is recorded in them, by this process or another, and what they hold."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from carecase_worker.audit.log import AuditLog, opened_files
from carecase_worker.audit.records import Act, Event, Head, record_of
from carecase_worker.audit.verification import Verification
from carecase_worker.clock import SystemClock
from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.sections.access import AuditSettings

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from pathlib import Path
from threading import Thread
from tests.integration.audit.logs import act, a_log
with a_log(Path(sys.argv[1]), max_file_bytes=4000, durability="relaxed") as log:
    print("ready", flush=True)
    input()
    threads = [Thread(target=lambda: [log.record(act(n)) for n in range(100)]) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def act(count: int) -> Act:
    return Act(Event.SENT, "acme", "ada", "192.0.2.7", "demo", "a job", count)


@contextmanager
def a_log(place: Path, **settings: Any) -> Iterator[AuditLog]:
    """The log of one process."""
    log = AuditLog(AuditSettings.model_validate({"directory": place, **settings}), SystemClock()).opened()
    yield log
    log.close()


def recorded(place: Path, *counts: int, **settings: Any) -> None:
    with a_log(place, **settings) as log:
        for count in counts:
            log.record(act(count))


def files_of(place: Path) -> list[tuple[str, bytes]]:
    """The files of a log, the oldest first."""
    with ExitStack() as files:
        return [(name, file.read(size)) for name, file, size in opened_files(place, files)]


def lines_of(place: Path) -> list[bytes]:
    return [line for _, content in files_of(place) for line in content.splitlines(keepends=True)]


def counts(place: Path) -> list[Any]:
    return [record.members.get("count") for line in lines_of(place) if (record := record_of(line))]


def verified(place: Path, *noted: Head) -> tuple[list[str], list[str]]:
    made = Verification({}, noted)
    for line in lines_of(place):
        made.feed("a line", line)
    made.finish()
    return made.faults, made.notes


def run(program: str, *arguments: object) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=process_environment(), capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
