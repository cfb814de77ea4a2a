"""The upsert on SQLite: a statement may write a case several times, row after row."""

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from carecase_worker.targets.dialects.on_conflict import PortableUpsert
from carecase_worker.targets.dialects.upsert import Turn, write_one_by_one
from carecase_worker.targets.plan import WaveOfRows


class SqliteUpsert(PortableUpsert):
    """The portable upsert, and cases of one key in one statement."""

    def __init__(self) -> None:
        super().__init__(insert)

    def write_in_turn(self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Sequence[Turn]:
        """Write the cases one after the other by one statement, if the rows that it returns show the outcome of each.

        They do not if some cases of a key were written and others left out: it is unknown what was stored in
        between. Then all are rolled back and written one by one. An error leaves the savepoint to whoever rolls back.
        """
        connection.exec_driver_sql("SAVEPOINT turns")
        created_of = {version: created for _, version, created in self.answers(connection, wave, guard_care_plan)}
        cases = list(zip(wave.keys, wave.versions, strict=True))
        left_out = {key for key, version in cases if version not in created_of}
        if any(key in left_out and version in created_of for key, version in cases):
            connection.exec_driver_sql("ROLLBACK TO turns")
            return write_one_by_one(self, connection, wave, guard_care_plan)
        connection.exec_driver_sql("RELEASE turns")
        stored = self.stored(connection, [*left_out]) if left_out else {}
        if any(key in stored and stored[key].entry_version > version for key, version in cases):
            self.backdate(connection, wave)
        return [Turn(created_of.get(version), stored[key].stored if key in stored else None) for key, version in cases]
