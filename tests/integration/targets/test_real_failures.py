"""Failures that servers really have while cases are written: no item is blamed, and once mended all are applied."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, text
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import a_database, ask, engine_at, run, tenant
from tests.needs import lack
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CREATED, UPDATED, Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.worker.attempts.planning import plan_chunk

FULL_OF_TEXT = [a_case(key, eligibility_Verified_Comment="x" * 500) for key in range(1500)]


@pytest.fixture
def url(servers: Services) -> str:
    """A database with the schema, of this test's own."""
    url = a_database(servers)
    with engine_at(url) as engine:
        upgrade(engine)
    return url


def write(url: str, *cases: dict[str, object], seq: int = 1, **settings: str) -> list[Outcome]:
    """Apply a chunk as a worker does."""
    key = LedgerKey(uuid4(), 0)
    lease = a_lease(key.job_id, seq=seq)
    targets = Targets({"d": tenant(url, **settings)})
    try:
        return targets.writer("d").write(key, plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease))
    finally:
        targets.disconnect("d")


def failure(url: str, *cases: dict[str, object], seq: int = 1, **settings: str) -> tuple[FailureKind, str, str]:
    """The kind, the short name of the cause, and the database's own code, with which a chunk is not applied."""
    with pytest.raises(TargetFailure) as caught:
        write(url, *cases, seq=seq, **settings)
    assert caught.value.cause is not None
    return caught.value.kind, caught.value.cause.name, str(caught.value).rpartition("(")[2].strip(")")


@contextmanager
def tiny_disk(place: Path) -> Iterator[None]:
    """A disk of 512 KiB at `place`."""
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True).returncode:
        lack("a disk can be filled only by who may mount one, as root may")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def make_room(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)


def test_a_full_disk_of_postgresql(url: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with tiny_disk(disk):
        with engine_at(url) as engine:
            server = Path(ask(engine, "SHOW data_directory")).stat()
        os.chown(disk, server.st_uid, server.st_gid)
        for place in (tmp_path, *tmp_path.parents):
            place.chmod(place.stat().st_mode | 0o011)
        run(url, f"CREATE TABLESPACE tiny LOCATION '{disk}'", "ALTER TABLE care_case SET TABLESPACE tiny")
        try:
            assert failure(url, *FULL_OF_TEXT) == (FailureKind.AWAY, "disk-full", "53100")
            make_room(disk)
            assert write(url, *FULL_OF_TEXT) == [CREATED] * len(FULL_OF_TEXT)
        finally:
            run(url, "DROP TABLE care_case", "DROP TABLESPACE tiny")


def test_a_full_disk_of_sqlite(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with tiny_disk(disk):
        url = f"sqlite:///{disk / 'cases.sqlite'}"
        with engine_at(url) as engine:
            upgrade(engine)
        assert failure(url, *FULL_OF_TEXT) == (FailureKind.AWAY, "disk-full", "SQLITE_FULL")
        make_room(disk)
        assert write(url, *FULL_OF_TEXT) == [CREATED] * len(FULL_OF_TEXT)


def test_a_resource_that_is_used_up(url: str) -> None:
    name = url.rpartition("/")[2]
    run(url, f"ALTER DATABASE {name} SET work_mem = '64kB'", f"ALTER DATABASE {name} SET temp_file_limit = 0")
    assert failure(url, *FULL_OF_TEXT) == (FailureKind.AWAY, "resources", "53400")
    run(url, f"ALTER DATABASE {name} RESET temp_file_limit")
    assert write(url, *FULL_OF_TEXT) == [CREATED] * len(FULL_OF_TEXT)


@contextmanager
def another(url: str) -> Iterator[Connection]:
    """Somebody else's transaction, which is taken back at the end."""
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


CASES = [a_case(key) for key in range(10)]
WAITING = text("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
"""The process that waits for whoever asks this."""
PATIENT = {"LOCK_TIMEOUT_SECONDS": "7.5"}
"""Of who waits for a lock until the test lets it go."""


def test_a_lock_leaves_the_database_in_use(url: str) -> None:
    write(url, *CASES)
    with another(url) as other:
        other.execute(text("SELECT 1 FROM care_case WHERE case_key = 7 FOR UPDATE"))
        locked = failure(url, *CASES, seq=2, LOCK_TIMEOUT_SECONDS="0.2")
        assert locked == (FailureKind.TOO_SLOW, "timeout", "55P03")
        assert write(url, *CASES[:7], seq=3) == [UPDATED] * 7
    assert write(url, *CASES, seq=4) == [UPDATED] * 10


def test_who_loses_a_deadlock_begins_again_at_once(url: str) -> None:
    write(url, *CASES)
    written: list[list[Outcome]] = []
    with another(url) as other:
        # only the writer looks for deadlocks, so only it can be the one that loses
        other.execute(text("SET deadlock_timeout = '1h'"))
        run(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET deadlock_timeout = '3s'")  # it looks once, after that
        other.execute(text("SELECT 1 FROM care_case WHERE case_key = 9 FOR UPDATE"))
        writer = threading.Thread(target=lambda: written.append(write(url, *CASES, seq=2, **PATIENT)))
        writer.start()
        eventually(lambda: other.scalar(WAITING), what="the writer waits for the lock")
        other.execute(text("UPDATE care_case SET case_status = 'x' WHERE case_key = 0"))
        other.commit()
        writer.join(60)
    assert written == [[UPDATED] * 10]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_who_loses_a_race_begins_again_at_once(url: str, level: str) -> None:
    run(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_isolation = '{level}'")
    write(url, *CASES)
    written: list[list[Outcome]] = []
    with another(url) as other:
        other.execute(text("UPDATE care_case SET case_status = 'x' WHERE case_key = 9"))
        writer = threading.Thread(target=lambda: written.append(write(url, *CASES, seq=2, **PATIENT)))
        writer.start()
        eventually(lambda: other.scalar(WAITING), what="the writer waits for the lock")
        other.commit()
        writer.join(60)
    assert written == [[UPDATED] * 10]


def test_a_server_that_is_shut_down_under_a_writer(url: str) -> None:
    write(url, *CASES)
    failed: list[tuple[FailureKind, str, str]] = []
    with another(url) as other:
        other.execute(text("SELECT 1 FROM care_case WHERE case_key = 9 FOR UPDATE"))
        writer = threading.Thread(target=lambda: failed.append(failure(url, *CASES, seq=2, **PATIENT)))
        writer.start()
        process = eventually(lambda: other.scalar(WAITING), what="the writer waits for the lock")
        other.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
        writer.join(60)
    assert failed == [(FailureKind.AWAY, "stopped", "57P01")]
