"""Where all of it happens: `carecase up`, its Valkey, its PostgreSQL, and databases beside the demo's."""

import hashlib
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
from sqlalchemy import create_engine

from bench.cases import Sum, chunks_of_texts
from bench.contestants.limit import upsert_statement
from bench.crew import BenchError
from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.places import setting_names
from carecase_worker.targets.schema.migration import create_database, upgrade

PEERS = "bench"
SYSTEM = "demo"
TENANTS = tuple(f"tenant{number}" for number in range(1, 9))
_SERVICE = "carecase-bench"
_NEWER = 1 << 62
_UP_WITHIN_S = 600
_NO_LIMIT = 1_000_000
_CONFIG = """\
[intake]
require = "either"
{unlimited}
[clients.bench]
api_key_sha256 = ["{digest}"]
databases = {databases}
"""
_DATABASE = """
[databases.{name}]
url = "postgresql+psycopg:///{name}?service={service}"
"""


class Before(Enum):
    """What a table holds before cases are written to it."""

    EMPTY = "nothing"
    OLDER = "the same cases, in an older version"
    NEWER = "the same cases, updated to a newer version"
    CREATED_LATER = "the same cases, created in a newer version"

    @property
    def supersedes(self) -> bool:
        """Whether what comes is older than what is there."""
        return self in (Before.NEWER, Before.CREATED_LATER)


@dataclass(frozen=True)
class Arena:
    """The running system; `files` under `place` are the benchmark's own."""

    place: Path
    stack: dict[str, Any]
    api_key: str

    def url(self, database: str) -> str:
        """A database for SQLAlchemy."""
        return str(self.stack["databases"][SYSTEM]["url"]).removesuffix(SYSTEM) + database

    def dsn(self, database: str) -> str:
        """A database for psycopg."""
        return self.url(database).replace("+psycopg", "")

    @property
    def redis_url(self) -> str:
        """The Valkey of the system."""
        return str(self.stack["redis"]["url"])

    @property
    def access(self) -> tuple[str, str]:
        """The intake's address, and an API key."""
        return urlsplit(self.stack["intake"]["url"]).netloc, self.api_key

    def reset(self, database: str, before: Before, fill: Path) -> None:
        """Let `care_case` hold nothing, or the cases of a file in an older or newer version than any to come."""
        version = _NEWER if before.supersedes else 0
        entry_version = _NEWER if before is Before.CREATED_LATER else 0
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            connection.execute("TRUNCATE care_case")
            if before is not Before.EMPTY:
                for text in chunks_of_texts(fill, version, entry_version):
                    connection.execute(upsert_statement(guarded=False), (text,))
                connection.execute("VACUUM (ANALYZE) care_case")

    def settle(self) -> None:
        """Let PostgreSQL do now what it would do of the last run's work in the next one's time."""
        with psycopg.connect(self.dsn(PEERS), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def held(self, database: str, table: str) -> Sum:
        """What a table holds."""
        with psycopg.connect(self.dsn(database)) as connection:
            found = connection.execute(f"SELECT count(*), coalesce(sum(case_priority), 0) FROM {table}").fetchone()
        assert found is not None
        return Sum(*map(int, found))

    def version(self) -> str:
        """Which PostgreSQL it is."""
        with psycopg.connect(self.dsn(PEERS)) as connection:
            return str(connection.info.server_version // 10_000)

    def cpu_seconds(self) -> dict[str, float]:
        """The CPU time that each part of the system has taken, its children's too."""
        return {
            role: sum(_cpu_seconds(pid) for pid in pids)
            for role, pids in self.stack["processes"].items()
            if isinstance(pids, list)
        }

    def memory(self, role: str) -> tuple[int, int]:
        """The resident bytes of a part of the system, and how many of them are not pages of files."""
        sizes = [found for pid in self.stack["processes"][role] for found in _of_each(pid, psutil.Process.memory_info)]
        return sum(one.rss for one in sizes), sum(one.rss - one.shared for one in sizes)


@contextmanager
def arena(place: Path, more: str = "", workers: int = 2) -> Iterator[Arena]:
    """Run `carecase up` in a directory, with databases for the peers and for eight tenants; stop it at the end.

    `more` is laid behind its configuration.
    """
    place.mkdir(parents=True, exist_ok=True)
    api_key = secrets.token_urlsafe(24)
    config, service, data_dir = place / "carecase.toml", place / "services.conf", place / "data"
    config.write_text(_config(api_key) + more)
    service.touch(mode=0o600)
    options = ["--data-dir", str(data_dir), "--config", str(config), "--workers", str(workers)]
    with (place / "up.log").open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "carecase_worker", "up", *options],
            env={**process_environment(), "PGSERVICEFILE": str(service)},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours to answer
        )
        try:
            started = Arena(place, _stack(up, data_dir / "stack.json", place / "up.log"), api_key)
            # the port and the password are known only now; libpq reads the file whenever it connects
            service.write_text(_service(started.dsn(SYSTEM)))
            for name in (PEERS, *TENANTS):
                _make(started, name)
            yield started
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


def _config(api_key: str) -> str:
    """The system's configuration: a client without a bound on its requests, eight tenants."""
    words = {"rate", "burst", "second"}
    limits = [leaf for section, leaf, _ in setting_names() if section == "intake" and words & set(leaf.split("_"))]
    text = _CONFIG.format(
        unlimited="".join(f"{leaf} = {_NO_LIMIT}\n" for leaf in limits),
        digest=hashlib.sha256(api_key.encode()).hexdigest(),
        databases=json.dumps([SYSTEM, *TENANTS]),
    )
    return text + "".join(_DATABASE.format(name=name, service=_SERVICE) for name in TENANTS)


def _service(dsn: str) -> str:
    parts = urlsplit(dsn)
    return f"[{_SERVICE}]\nhost={parts.hostname}\nport={parts.port}\nuser={parts.username}\npassword={parts.password}\n"


def _stack(up: "subprocess.Popen[bytes]", page: Path, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + _UP_WITHIN_S
    while not page.exists():
        if up.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"carecase up did not start:\n{log.read_text()}")
        time.sleep(0.05)
    return dict(json.loads(page.read_text()))


def _make(started: Arena, name: str) -> None:
    if not create_database(started.url("postgres"), name):
        raise BenchError("PostgreSQL does not answer")
    engine = create_engine(started.url(name))
    upgrade(engine)
    engine.dispose()


def _cpu_seconds(pid: int) -> float:
    return sum(sum(times[:4]) for times in _of_each(pid, psutil.Process.cpu_times))


def _of_each(pid: int, read: Callable[[psutil.Process], Any]) -> Iterator[Any]:
    """Read something of a process and its children; those that end meanwhile, as sessions of a server do, have none."""
    process = psutil.Process(pid)
    yield read(process)
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield read(child)
