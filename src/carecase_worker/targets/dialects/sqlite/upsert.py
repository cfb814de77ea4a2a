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
        """Write the cases one after the other by one statement, if its answers tell what became of each.

        They do not if some cases of a key were written and others left out: nobody knows what was held in between. Then
        all is taken back and goes one by one. An error leaves the savepoint to whoever rolls back.
        """
        connection.exec_driver_sql("SAVEPOINT turns")
        told = {version: created for _, version, created in self.answers(connection, wave, guard_care_plan)}
        cases = list(zip(wave.keys, wave.versions, strict=True))
        left_out = {key for key, version in cases if version not in told}
        if any(key in left_out and version in told for key, version in cases):
            connection.exec_driver_sql("ROLLBACK TO turns")
            return write_one_by_one(self, connection, wave, guard_care_plan)
        connection.exec_driver_sql("RELEASE turns")
        held = self.held(connection, [*left_out]) if left_out else {}
        if any(key in held and held[key].entry_version > version for key, version in cases):
            self.backdate(connection, wave)
        return [Turn(told.get(version), held.get(key)) for key, version in cases]
