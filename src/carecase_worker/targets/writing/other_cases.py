"""Test of a database that refused cases: whether it accepts any other one."""

from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.cases.care_case import CARE_PLAN, FIELDS, INT32_MIN, KEY
from carecase_worker.targets.dialects.failures import ITEM_FAULTS
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.dialects.upsert import Upsert
from carecase_worker.targets.plan import Defaults, Entry, WaveOfRows
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION
from carecase_worker.targets.writing.findings import Findings, TransactionLostError


class OtherCases:
    """The test, on one connection, with the defaults of the cases that were refused."""

    def __init__(self, connection: Connection, upsert: Upsert, findings: Findings, defaults: Defaults) -> None:
        self._connection = connection
        self._upsert = upsert
        self._findings = findings
        self._defaults = defaults
        dialect = dialect_of(connection)
        self._errors, self._writing = dialect.errors, dialect.writing

    def one_is_accepted(self, suspect: Entry) -> bool:
        """Return whether the database accepts a case other than the suspects; it is rolled back.

        The case is a copy of a stored one, which was accepted before, or else a suspect with only its required fields.
        """
        stored = self._connection.execute(select(CARE_CASE).limit(1)).mappings().first()
        copy = [{column.key: stored[column] for column in CARE_CASE.c}] if stored else []
        others = [*copy, _bare(suspect)]
        return any(self._takes(number, row) for number, row in enumerate(others))

    def _takes(self, number: int, row: Mapping[str, object]) -> bool:
        """Insert a case under an unused key, update it, and roll back; return whether the database accepted it."""
        if number in self._findings.takes:
            return self._findings.takes[number]
        savepoint = self._connection.begin_nested()
        try:
            self._writing.limit_statements(self._connection, self._findings.left_s() / 2)
            for version in (0, 1):
                other = {**row, KEY: INT32_MIN, VERSION: version, ENTRY_VERSION: version}
                wave = WaveOfRows([Entry(0, other)], self._defaults)
                self._upsert.write(self._connection, wave, guard_care_plan=False)
        except SQLAlchemyError as error:
            takes = self._errors.answered(error) and self._errors.classify(error) in ITEM_FAULTS
            if self._writing.has_lost_transaction(self._connection):
                self._findings.takes[number] = takes
                raise TransactionLostError from None
            savepoint.rollback()
            return takes
        savepoint.rollback()
        return True


def _bare(entry: Entry) -> dict[str, object]:
    """Return a case with only its required fields."""
    required = {field.name for field in FIELDS if not field.nullable} | {CARE_PLAN}
    return {name: value if name in required else None for name, value in entry.row.items()}
