"""Contents of a target database, as far as somebody asks without a case in hand."""

from sqlalchemy import Engine, exists, select
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.targets.failures import failure_of
from carecase_worker.targets.tables import CARE_CASE


def holds_cases(engine: Engine) -> bool:
    """Tell if there is any case. Raises TargetFailure."""
    try:
        with engine.connect() as connection:
            return bool(connection.execute(select(exists(select(1).select_from(CARE_CASE)))).scalar())
    except SQLAlchemyError as error:
        raise failure_of(error) from None
