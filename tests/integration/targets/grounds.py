"""Grounds: for each dialect that the service knows, where and by which statements the conformance suite tries it.

A dialect that is registered without a ground fails every suite here at once, by name.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import postgresql
from tests.integration.targets.databases import a_database, ask, raising, refusing, run_all
from tests.services import Services

from carecase_worker.targets.dialects.on_conflict import PortableUpsert
from carecase_worker.targets.dialects.registry import DIALECTS, dialect_of
from carecase_worker.targets.dialects.upsert import ComparableUpsert

_files = count(1)


@dataclass(frozen=True)
class Ground:
    """What the suites need of one dialect, and what its databases cannot keep."""

    empty: Callable[[Services, Path], str]
    """Make a database without tables, in a directory if it is a file; return its URL."""
    connections: Callable[[Engine, str], int]
    """The number of connections to a database but for the one that asks."""
    refuse_negative_priorities: Callable[[Engine], None]
    """Have a database refuse negative priorities from now on, by a check constraint."""
    fail_over_trigger_and_pass_over_skip: tuple[str, ...]
    """Statements by which cases of status `trigger` fail, and those of status `skip` are left out without a word."""
    note_writes: tuple[str, ...]
    """Statements by which the key of each case that is to be written is noted, in order, in the table `written`."""
    note_no_more: tuple[str, ...]
    """Statements that undo that."""
    lock: Callable[[Connection], Any]
    """Lock the cases for as long as a transaction lasts, as far as its beginning does not."""
    keeps_offsets: bool = True
    keeps_negative_zero: bool = True
    other_upserts: Mapping[str, Callable[[], ComparableUpsert]] = field(default_factory=dict)
    """Upserts that must do the same as the dialect's own."""


def _file(_: Services, directory: Path) -> str:
    path = directory / f"cases_{next(_files)}.sqlite"
    path.touch()
    return f"sqlite:///{path}"


def _open_files(engine: Engine, url: str) -> int:
    path = Path(url.removeprefix("sqlite:///"))
    engine.dispose()
    return sum(link.exists() and link.samefile(path) for link in Path("/proc/self/fd").iterdir())


def _sessions(engine: Engine, _: str) -> int:
    others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    return int(ask(engine, f"SELECT count(*) FROM pg_stat_activity WHERE {others}"))


def _check_priorities(engine: Engine) -> None:
    run_all(engine, "ALTER TABLE care_case ADD CONSTRAINT priority_check CHECK (case_priority >= 0)")


def _check_priorities_of_file(engine: Engine) -> None:
    definition = ask(engine, "SELECT sql FROM sqlite_master WHERE name = 'care_case'")
    checked = definition.replace("case_priority INTEGER", "case_priority INTEGER CHECK (case_priority >= 0)")
    run_all(engine, "DROP TABLE care_case", checked)


_TRIGGER = "CREATE TRIGGER {0} BEFORE INSERT ON care_case WHEN NEW.case_status = '{0}' BEGIN SELECT RAISE({1}); END"

GROUNDS = {
    "postgresql": Ground(
        empty=lambda servers, _: a_database(servers),
        connections=_sessions,
        refuse_negative_priorities=_check_priorities,
        fail_over_trigger_and_pass_over_skip=refusing(
            f"{raising('P0001')} END IF; IF NEW.case_status = 'skip' THEN RETURN NULL;",
            when="NEW.case_status = 'trigger'",
        ),
        note_writes=(
            "CREATE TABLE written (place serial, case_key int)",
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO written (case_key) VALUES (NEW.case_key); RETURN NEW; END $$",
            "CREATE TRIGGER note BEFORE INSERT ON care_case FOR EACH ROW EXECUTE FUNCTION note()",
        ),
        note_no_more=("DROP TRIGGER note ON care_case", "DROP FUNCTION note", "DROP TABLE written"),
        lock=lambda connection: connection.exec_driver_sql("LOCK TABLE care_case"),
        other_upserts={"portable": partial(PortableUpsert, postgresql.insert)},
    ),
    "sqlite": Ground(
        empty=_file,
        connections=_open_files,
        refuse_negative_priorities=_check_priorities_of_file,
        fail_over_trigger_and_pass_over_skip=(
            _TRIGGER.format("trigger", "ABORT, 'no'"),
            _TRIGGER.format("skip", "IGNORE"),
        ),
        note_writes=(
            "CREATE TABLE written (place INTEGER PRIMARY KEY, case_key int)",
            "CREATE TRIGGER note BEFORE INSERT ON care_case"
            " BEGIN INSERT INTO written (case_key) VALUES (NEW.case_key); END",
        ),
        note_no_more=("DROP TRIGGER note", "DROP TABLE written"),
        lock=lambda _: None,
        keeps_offsets=False,
        keeps_negative_zero=False,
    ),
}


WAYS = [
    *((name, "its own") for name in DIALECTS),
    *((name, other) for name, ground in GROUNDS.items() for other in ground.other_upserts),
]
"""Every dialect with its own upsert, and with each other one that must do the same."""


def name_of(way: tuple[str, str]) -> str:
    return f"{way[1]} on {way[0]}"


def upsert_of(way: tuple[str, str]) -> ComparableUpsert:
    dialect, upsert = way
    others = GROUNDS[dialect].other_upserts
    return others[upsert]() if upsert in others else DIALECTS[dialect].writing.upsert


def ground_of(engine: Engine) -> Ground:
    return GROUNDS[dialect_of(engine).name]


@contextmanager
def noting_writes(engine: Engine) -> Iterator[None]:
    """Have the database note the key of each case that is to be written, in the table `written`."""
    ground = ground_of(engine)
    run_all(engine, *ground.note_writes)
    try:
        yield
    finally:
        run_all(engine, *ground.note_no_more)
