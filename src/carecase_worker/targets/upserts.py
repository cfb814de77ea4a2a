"""The statements that upsert cases: one portable, one for PostgreSQL, told apart by nothing but their speed.

Each takes rows of distinct keys, in key order, and answers for each case it wrote whether it created it. A case that is
not in the answer holds a version as new, or is under another care plan than the guard allows; its row is locked then.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, text
from sqlalchemy.dialects import postgresql, sqlite

from carecase_worker.cases.care_case import CARE_PLAN, ENTRY_DATE, ENTRY_USER, KEY
from carecase_worker.cases.validation import Row
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION

_ON_CREATE_ONLY = frozenset({KEY, ENTRY_DATE, ENTRY_USER, ENTRY_VERSION})
_INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class Upsert(Protocol):
    """Upserts rows on a connection."""

    def __call__(self, connection: Connection, rows: Sequence[Row], guard_care_plan: bool) -> Mapping[int, bool]:
        """For each case that was written, whether it was created."""
        ...


def upsert_for(dialect: str) -> Upsert:
    """The fastest upsert that a dialect has."""
    return PostgresUpsert() if dialect == "postgresql" else PortableUpsert(dialect)


class PortableUpsert:
    """INSERT … ON CONFLICT DO UPDATE … RETURNING, written by SQLAlchemy, many rows a statement."""

    def __init__(self, dialect: str) -> None:
        insert: Any = _INSERT[dialect](CARE_CASE)
        new, held = insert.excluded, CARE_CASE.c
        newer: ColumnElement[bool] = held[VERSION] < new[VERSION]
        same_plan: ColumnElement[bool] = held[CARE_PLAN] == new[CARE_PLAN]
        values = {column.key: new[column.key] for column in CARE_CASE.c if column.key not in _ON_CREATE_ONLY}
        created = (held[ENTRY_VERSION] == held[VERSION]).label("created")
        self._guarded, self._free = (
            insert.on_conflict_do_update(index_elements=[held[KEY]], set_=values, where=where).returning(
                held[KEY], created
            )
            for where in (and_(newer, same_plan), newer)
        )

    def __call__(self, connection: Connection, rows: Sequence[Row], guard_care_plan: bool) -> Mapping[int, bool]:
        """For each case that was written, whether it was created."""
        written = connection.execute(self._guarded if guard_care_plan else self._free, rows)
        return {key: bool(created) for key, created in written}


class PostgresUpsert:
    """INSERT … SELECT FROM json_to_recordset(…): the rows go over as one JSON text and are set down in one go."""

    def __init__(self) -> None:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
        columns = [column.name for column in CARE_CASE.c]
        types = {column.name: column.type.compile(dialect) for column in CARE_CASE.c}
        record = ", ".join(f'"{column.key}" {types[column.name]}' for column in CARE_CASE.c)
        selected = ", ".join(f'"{column.key}"' for column in CARE_CASE.c)
        values = ", ".join(
            f"{column.name} = excluded.{column.name}" for column in CARE_CASE.c if column.key not in _ON_CREATE_ONLY
        )
        key, care_plan = CARE_CASE.c[KEY].name, CARE_CASE.c[CARE_PLAN].name
        statement = (
            f"INSERT INTO care_case AS held ({', '.join(columns)})"  # noqa: S608  # names of the field table only
            f" SELECT {selected} FROM json_to_recordset(CAST(:rows AS json)) AS sent({record})"
            f' ORDER BY "{KEY}"'
            f" ON CONFLICT ({key}) DO UPDATE SET {values}"
            f" WHERE held.{VERSION} < excluded.{VERSION}{{guard}}"
            f" RETURNING {key}, {ENTRY_VERSION} = {VERSION}"
        )
        self._free = text(statement.format(guard=""))
        self._guarded = text(statement.format(guard=f" AND held.{care_plan} = excluded.{care_plan}"))

    def __call__(self, connection: Connection, rows: Sequence[Row], guard_care_plan: bool) -> Mapping[int, bool]:
        """For each case that was written, whether it was created."""
        sent = msgspec.json.encode(rows).decode()
        written = connection.execute(self._guarded if guard_care_plan else self._free, {"rows": sent})
        return {int(key): bool(created) for key, created in written}
