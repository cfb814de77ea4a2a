"""INSERT … SELECT FROM json_to_recordset(…): the fastest upsert on PostgreSQL, which takes JSON unchanged."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

import msgspec
from psycopg.types.json import Json
from sqlalchemy import Connection, text

from carecase_worker.cases.care_case import CARE_PLAN, KEY
from carecase_worker.targets.dialects.postgresql.statements import (
    KNOWN,
    RESULTS,
    SENT,
    backdate_statement,
    sources,
    turns_block,
    upsert_statement,
)
from carecase_worker.targets.dialects.upsert import Compared, Fault, Newer, Stored, StoredCase, Turn, Written
from carecase_worker.targets.plan import Wave, WaveOfChunks, WaveOfRows
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION


class PostgresUpsert:
    """The upsert of a wave, sent as one JSON text and written by one statement."""

    def __init__(self) -> None:
        self._statements = {
            (guard, sort, many): upsert_statement(guard, sort, sources(many))
            for guard, sort, many in product((False, True), repeat=3)
        }
        self._backdates = {many: backdate_statement(sources(many)) for many in (False, True)}
        self._turns = {how: turns_block(*how) for how in product((False, True), repeat=3)}
        key, *others = (CARE_CASE.c[name].name for name in (KEY, VERSION, ENTRY_VERSION, CARE_PLAN))
        of_keys = f"FROM care_case WHERE {key} = ANY(CAST(:keys AS integer[]))"
        self._stored = text(f"SELECT {key}, {', '.join(others)} {of_keys}")
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

    def stored(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, StoredCase]:
        """Read the stored cases with these keys; missing ones are left out."""
        found = connection.execute(self._stored, {"keys": _array(keys)})
        return {key: StoredCase(Stored(version, plan), entered) for key, version, entered, plan in found}

    def newer(self, connection: Connection, keys: Sequence[int], versions: Sequence[int]) -> Newer:
        """Count the stored cases with these keys whose version is at least the highest of `versions`."""
        sent = {"keys": _array(keys), "lowest": min(versions), "highest": max(versions)}
        return Newer(*connection.execute(self._newer, sent).one())

    def backdate(self, connection: Connection, wave: Wave) -> None:
        """Set this wave's entry date, user and version on cases that a later version created."""
        connection.exec_driver_sql(self._backdates[isinstance(wave, WaveOfChunks)], _sent(wave))

    def write_in_turn(self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Sequence[Turn]:
        """Write the cases one after the other, in the database itself."""
        return [one.turn for one in self.compare_in_turn(connection, wave, guard_care_plan, compare=False)]

    def compare_in_turn(
        self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool, compare: bool = True
    ) -> Sequence[Compared]:
        """Write the cases as `write_in_turn` does; return also which fields each update changed."""
        return [compared for compared, _ in self._run(connection, wave, (guard_care_plan, compare, False))]

    def write_past(
        self,
        connection: Connection,
        wave: WaveOfRows,
        guard_care_plan: bool,
        known: Collection[Fault],
        compare: bool = False,
    ) -> Sequence[Compared | Fault]:
        """Write the cases in turn, each in a savepoint of its own, up to the first one with a fault that is unknown."""
        hashes = _array([fault.others for fault in known])
        results = self._run(connection, wave, (guard_care_plan, compare, True), hashes)
        return [compared if fault is None else fault for compared, fault in results]

    def _run(
        self, connection: Connection, wave: WaveOfRows, how: tuple[bool, bool, bool], known: str = ""
    ) -> Sequence[tuple[Compared, Fault | None]]:
        """Run a block, with the hashes of known faults; return the result of each case."""
        connection.execute(_HAND_OVER, {"cases": wave.text().decode(), "known": known})
        connection.exec_driver_sql(self._turns[how])
        results = msgspec.json.decode(connection.execute(_RESULTS).scalar_one(), type=_Results)
        return [
            (Compared(Turn(created, None if version is None else Stored(version, plan or 0)), changes), fault)
            for created, version, plan, changes, fault in zip(*results, strict=True)
        ]


_Results = tuple[
    list[bool | None], list[int | None], list[int | None], list[tuple[str, ...] | None], list[Fault | None]
]
_HAND_OVER = text(f"SELECT set_config('{SENT}', :cases, true), set_config('{KNOWN}', :known, true)")
_RESULTS = text(f"SELECT current_setting('{RESULTS}')")


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
