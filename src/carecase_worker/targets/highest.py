"""The highest version that a database holds: those of new batches must be above it."""

from sqlalchemy import Engine, func, select

from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.failures import errors_as_failures
from carecase_worker.targets.tables import CARE_CASE, VERSION

_HIGHEST = select(func.max(CARE_CASE.c[VERSION]))


def highest_version(engine: Engine, patient: bool = False) -> int:
    """Return the highest version of any case, 0 if there is none. Raises TargetFailure.

    It reads the whole table: an index would cost every write. `patient` lifts the deadline of statements for it.
    """
    with errors_as_failures(engine), engine.begin() as connection:
        if patient:
            dialect_of(connection).writing.lift_deadline(connection)
        return int(connection.execute(_HIGHEST).scalar() or 0)
