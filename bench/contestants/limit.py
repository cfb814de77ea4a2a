"""The bare limit: nothing but PostgreSQL setting down JSON that was made beforehand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from bench.cases import chunks_of_texts
from carecase_worker.cases.care_case import KEY
from carecase_worker.targets.tables import CARE_CASE, VERSION


def upsert_statement(guarded: bool) -> str:
    """The statement; guarded, it leaves alone what is newer."""
    columns = ", ".join(column.name for column in CARE_CASE.c)
    key = CARE_CASE.c[KEY].name
    sets = ", ".join(f"{column.name} = excluded.{column.name}" for column in CARE_CASE.c if column.name != key)
    guard = f" WHERE held.{VERSION} < excluded.{VERSION}" if guarded else ""
    return (
        f"INSERT INTO care_case AS held ({columns})"
        f" SELECT {columns} FROM json_populate_recordset(null::care_case, %s::json) ORDER BY {key}"
        f" ON CONFLICT ({key}) DO UPDATE SET {sets}{guard}"
    )


def upsert_texts(targets: Sequence[tuple[str, Path]], member: int, members: int, guarded: bool) -> Callable[[], None]:
    """Upsert each chunk whose turn is this member's, a transaction each."""
    statement = upsert_statement(guarded)
    held = [(dsn, number, text) for dsn, path in targets for number, text in enumerate(chunks_of_texts(path))]
    held.sort(key=lambda one: one[1])  # the databases by turns
    mine = [(dsn, text) for dsn, _, text in held[member::members]]
    connections = {dsn: psycopg.connect(dsn, autocommit=True) for dsn, _ in mine}
    for connection in connections.values():
        connection.execute("SET synchronous_commit = on")

    def run() -> None:
        for dsn, text in mine:
            connections[dsn].execute(statement, (text,), prepare=True)

    return run
