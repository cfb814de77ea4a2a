"""The highest version that a database holds: those of new batches must be above it."""

from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.targets.failures import failure_of
from carecase_worker.targets.tables import CARE_CASE, VERSION

_HIGHEST = select(func.max(CARE_CASE.c[VERSION]))
_NO_DEADLINE = text("SET LOCAL statement_timeout = 0")


def highest_version(engine: Engine, patient: bool = False) -> int:
    """Return the highest version of any case, 0 if there is none. Raises TargetFailure.

    It reads the whole table: an index would cost every write. `patient` lifts PostgreSQL's statement timeout for it.
    """
    try:
        with engine.begin() as connection:
            if patient and engine.dialect.name == "postgresql":
                connection.execute(_NO_DEADLINE)
            return int(connection.execute(_HIGHEST).scalar() or 0)
    except SQLAlchemyError as error:
        raise failure_of(error) from None
