"""Who is compared: every contestant, with what is said of it in the table."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.arena import PEERS, SYSTEM, Arena
from bench.contestants import celery_client, dlt_load

Members = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Trial:
    """What is to be written where: files, each to its database."""

    arena: Arena
    targets: tuple[tuple[str, Path], ...]
    guarded: bool = False

    @property
    def path(self) -> Path:
        """The file of a trial that has only one."""
        ((_, path),) = self.targets
        return path

    @property
    def dsn(self) -> str:
        """Where it goes."""
        return self.arena.dsn(self.targets[0][0])

    @property
    def url(self) -> str:
        """Where it goes, for SQLAlchemy."""
        return self.arena.url(self.targets[0][0])


def _nothing(_: Trial) -> AbstractContextManager[object]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to write cases. `cases` is how many it gets, `target` what its processes run, `beside` what runs, too."""

    name: str
    what: str
    processes: str
    cases: int
    target: str
    members: Callable[[Trial], Members]
    beside: Callable[[Trial], AbstractContextManager[object]] = _nothing
    database: str = PEERS
    table: str = "care_case"
    batches: int = 1
    package: str | None = None

    @property
    def can_run(self) -> bool:
        """Whether the package that it needs is installed."""
        return self.package is None or importlib.util.find_spec(self.package) is not None


def _limit(trial: Trial) -> Members:
    targets = [(trial.arena.dsn(database), path) for database, path in trial.targets]
    return [(targets, member, 2, trial.guarded) for member in range(2)]


def _url(trial: Trial) -> Members:
    return [(trial.url, trial.path)]


def _dsn(trial: Trial) -> Members:
    return [(trial.dsn, trial.path)]


def _tasks_of(size: int) -> Callable[[Trial], Members]:
    return lambda trial: [(trial.arena.redis_url, trial.dsn, trial.path, size)]


@contextmanager
def _celery_worker(trial: Trial) -> Iterator[None]:
    with celery_client.worker(trial.arena.redis_url, trial.url, trial.arena.place / "celery.log"):
        yield


def _dlt(trial: Trial) -> Members:
    return [(trial.dsn, trial.path, trial.arena.place / "dlt")]


def _side_by_side(trial: Trial) -> Members:
    return [(trial.arena.access, [[target] for target in trial.targets])]


def _in_a_row(trial: Trial) -> Members:
    return [(trial.arena.access, [list(trial.targets)])]


_CONTESTANTS = "bench.contestants"
LIMIT = Contestant(
    "limit",
    "bare limit: prepared INSERT … SELECT FROM json_populate_recordset(…) ON CONFLICT of ready JSON, 1,000 a statement",
    "2",
    100_000,
    f"{_CONTESTANTS}.limit:upsert_texts",
    _limit,
)
THIS = Contestant(
    "carecase",
    "**this system**, from the first byte of the PUT until the job is final",
    "all of it",
    100_000,
    "bench.client:send",
    _side_by_side,
    database=SYSTEM,
)
TWICE = Contestant(
    "carecase-twice",
    "**this system**, two such batches one right after the other",
    "all of it",
    100_000,
    "bench.client:send",
    _in_a_row,
    database=SYSTEM,
    batches=2,
)
_ORM = f"{_CONTESTANTS}.orm"
FIELD = (
    LIMIT,
    THIS,
    TWICE,
    Contestant(
        "copy",
        "psycopg COPY to a temporary table, then merge, per 1,000",
        "1",
        50_000,
        f"{_CONTESTANTS}.copying:copy_and_merge",
        _dsn,
    ),
    Contestant(
        "core",
        "SQLAlchemy Core, insertmanyvalues with ON CONFLICT, 1,000 a statement",
        "1",
        20_000,
        f"{_CONTESTANTS}.core:upsert_rows",
        _url,
    ),
    Contestant(
        "celery-many",
        "plain Celery, a task per 1,000 cases: validate, then as above",
        "2 in the pool, 1 sends",
        20_000,
        f"{_CONTESTANTS}.celery_client:send_tasks",
        _tasks_of(1000),
        _celery_worker,
    ),
    Contestant(
        "dlt",
        "dlt, merge with the upsert strategy, by CSV",
        "1",
        20_000,
        f"{_CONTESTANTS}.dlt_load:load_cases",
        _dlt,
        table=dlt_load.TABLE,
        package="dlt",
    ),
    Contestant("savepoint", "ORM merge in a savepoint per case", "1", 3000, f"{_ORM}:merge_in_savepoints", _url),
    Contestant("commit", "ORM merge and commit per case", "1", 3000, f"{_ORM}:merge_and_commit", _url),
    Contestant(
        "celery-one",
        "plain Celery, a task per case: validate, upsert, commit",
        "2 in the pool, 1 sends",
        3000,
        f"{_CONTESTANTS}.celery_client:send_tasks",
        _tasks_of(1),
        _celery_worker,
    ),
)
