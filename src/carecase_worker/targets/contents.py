"""A look at the contents of a target database."""

from sqlalchemy import Engine, exists, select
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.targets.failures import failure_of
from carecase_worker.targets.tables import CARE_CASE


def holds_cases(engine: Engine) -> bool:
    """Return whether the database has any case. Raises TargetFailure."""
    try:
        with engine.connect() as connection:
            return bool(connection.execute(select(exists(select(1).select_from(CARE_CASE)))).scalar())
    except SQLAlchemyError as error:
        raise failure_of(error) from None
