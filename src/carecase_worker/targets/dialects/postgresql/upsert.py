"""INSERT … SELECT FROM json_to_recordset(…): the fastest upsert on PostgreSQL, which takes JSON unchanged."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from psycopg.types.json import Json
from sqlalchemy import Column, Connection, text
from sqlalchemy.dialects import postgresql

from carecase_worker.cases.care_case import CARE_PLAN, ENTRY_DATE, ENTRY_USER, KEY, UPDATE_DATE, UPDATE_USER
from carecase_worker.targets.dialects.upsert import ON_CREATE_ONLY, Held, Newer, Written
from carecase_worker.targets.plan import Wave, WaveOfChunks
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION


class PostgresUpsert:
    """The upsert of a wave, sent as one JSON text and written by one statement."""

    def __init__(self) -> None:
        self._statements = {
            (guard, sort, many): _postgres_statement(guard, sort, _sources(many))
            for guard, sort, many in product((False, True), repeat=3)
        }
        self._backdates = {many: _postgres_backdate(_sources(many)) for many in (False, True)}
        key, *others = (CARE_CASE.c[name].name for name in (KEY, VERSION, ENTRY_VERSION, CARE_PLAN))
        of_keys = f"FROM care_case WHERE {key} = ANY(CAST(:keys AS integer[]))"
        self._held = text(f"SELECT {key}, {', '.join(others)} {of_keys}")
        version, entry_version, _ = others
        self._newer = text(
            f"SELECT count(*), count(*) FILTER (WHERE {entry_version} > :lowest) {of_keys} AND {version} >= :highest"
        )

    def write(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Written:
        """Write the cases that pass the guards."""
        in_order = list(wave.keys) == sorted(wave.keys)
        statement = self._statements[guard_care_plan, not in_order, isinstance(wave, WaveOfChunks)]
        created, updated = connection.exec_driver_sql(statement, _sent(wave)).one()
        return Written(created or (), updated or ())

    def held(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, Held]:
        """Read the stored cases with these keys; missing ones are left out."""
        found = connection.execute(self._held, {"keys": _array(keys)})
        return {key: Held(*held) for key, *held in found}

    def newer(self, connection: Connection, keys: Sequence[int], versions: Sequence[int]) -> Newer:
        """Count the cases of these keys that hold a version as new as all of these, or newer."""
        sent = {"keys": _array(keys), "lowest": min(versions), "highest": max(versions)}
        return Newer(*connection.execute(self._newer, sent).one())

    def backdate(self, connection: Connection, wave: Wave) -> None:
        """Set this wave's entry date, user and version on cases that a later version created."""
        connection.exec_driver_sql(self._backdates[isinstance(wave, WaveOfChunks)], _sent(wave))


def _sent(wave: Wave) -> dict[str, Any]:
    """Return the parameters of the statements for a wave."""
    sent: dict[str, Any] = {"cases": Json(wave.text(), dumps=_as_it_is)}
    if isinstance(wave, WaveOfChunks):
        defaults = [chunk.defaults for chunk in wave.chunks]
        return sent | {
            "begin": [first + 1 for first in wave.firsts],
            "first_version": [one.first_version - first for first, one in zip(wave.firsts, defaults, strict=True)],
            "moment": [one.rules.moment for one in defaults],
            "user": [one.rules.user for one in defaults],
        }
    rules = wave.defaults.rules
    return sent | {"first_version": wave.defaults.first_version, "moment": rules.moment, "user": rules.user}


def _array(keys: Sequence[int]) -> str:
    """Return keys as PostgreSQL writes an array: for a list of them, psycopg takes five times as long."""
    return f"{{{','.join(map(str, keys))}}}"


def _as_it_is(text: bytes) -> bytes:
    return text


def _sources(many: bool) -> dict[str, str]:
    """Return SQL for the columns that a case may lack, for a wave of one chunk, or of several with their first indices.

    The version counts up in the array's order, as `case_versions.versions_from` does (indices begin at 1 here); the
    others are the chunk's time and user.
    """

    def default(name: str, kind: str) -> str:
        if not many:
            return f"CAST(%({name})s AS {kind})"
        return f"(CAST(%({name})s AS {kind}[]))[width_bucket(sent.place, CAST(%(begin)s AS bigint[]))]"

    moment, user = default("moment", "timestamptz"), default("user", "text")
    defaults = {
        VERSION: f"{default('first_version', 'bigint')} + sent.place - 1",
        **{ENTRY_DATE: moment, ENTRY_USER: user, UPDATE_DATE: moment, UPDATE_USER: user},
    }
    return {name: f'coalesce(sent."{name}", {value})' for name, value in defaults.items()}


def _rows_of(columns: Iterable[Column[Any]]) -> str:
    """Return SQL for some columns of the cases sent, by the names of their fields, and each case's index from 1."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    typed = {column.key: column.type.compile(dialect) for column in columns}
    record = ", ".join(f'"{name}" {kind}' for name, kind in typed.items())
    names = ", ".join(f'"{name}"' for name in typed)
    return f"ROWS FROM (json_to_recordset(%(cases)s) AS ({record})) WITH ORDINALITY AS sent({names}, place)"


def _postgres_backdate(sources: Mapping[str, str]) -> str:
    columns = CARE_CASE.c
    key, entry_date, entry_user, entry_version = (
        columns[name].name for name in (KEY, ENTRY_DATE, ENTRY_USER, ENTRY_VERSION)
    )
    return (
        f"UPDATE care_case AS held SET {entry_date} = {sources[ENTRY_DATE]}, {entry_user} = {sources[ENTRY_USER]},"  # noqa: S608  # names of the field table only
        f" {entry_version} = {sources[VERSION]}"
        f" FROM {_rows_of([columns[name] for name in (KEY, VERSION, ENTRY_DATE, ENTRY_USER)])}"
        f' WHERE held.{key} = sent."{KEY}" AND held.{entry_version} > {sources[VERSION]}'
    )


def _postgres_statement(guard_care_plan: bool, sort: bool, defaulted: Mapping[str, str]) -> str:
    """Return the upsert of a JSON array; with `sort`, cases are written in key order, whatever their order."""
    columns = {column.key: column for column in CARE_CASE.c if column.key != ENTRY_VERSION}
    sources = {name: f'"{name}"' for name in columns} | dict(defaulted)
    into = ", ".join([*(column.name for column in columns.values()), CARE_CASE.c[ENTRY_VERSION].name])
    key, care_plan = CARE_CASE.c[KEY].name, CARE_CASE.c[CARE_PLAN].name
    order = f' ORDER BY "{KEY}"' if sort else ""
    guard = f" AND held.{care_plan} = excluded.{care_plan}" if guard_care_plan else ""
    values = ", ".join(f"{c.name} = excluded.{c.name}" for name, c in columns.items() if name not in ON_CREATE_ONLY)
    return (
        f"WITH written AS (INSERT INTO care_case AS held ({into})"  # noqa: S608  # names of the field table only
        f" SELECT {', '.join([*sources.values(), sources[VERSION]])} FROM {_rows_of(columns.values())}"
        f"{order}"
        f" ON CONFLICT ({key}) DO UPDATE SET {values}"
        f" WHERE held.{VERSION} < excluded.{VERSION}{guard}"
        f" RETURNING {key} AS case_key, {ENTRY_VERSION} = {VERSION} AS created)"
        " SELECT array_agg(case_key) FILTER (WHERE created), array_agg(case_key) FILTER (WHERE NOT created)"
        " FROM written"
    )
