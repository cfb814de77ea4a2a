"""The highest version in a database; those of new batches must be above it."""

from sqlalchemy import Engine, func, select

from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.failures import errors_as_failures
from carecase_worker.targets.tables import CARE_CASE, VERSION

_HIGHEST = select(func.max(CARE_CASE.c[VERSION]))


def highest_version(engine: Engine, patient: bool = False) -> int:
    """Return the highest version of any case, 0 if there is none. Raises TargetFailure.

    It scans the whole table, since an index would slow down every write. `patient` lifts the statement timeout.
    """
    with errors_as_failures(engine), engine.begin() as connection:
        if patient:
            dialect_of(connection).writing.lift_deadline(connection)
        return int(connection.execute(_HIGHEST).scalar() or 0)
