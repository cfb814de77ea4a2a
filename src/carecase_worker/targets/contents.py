"""Inspection of a target database's contents."""

from sqlalchemy import Engine, exists, select

from carecase_worker.targets.failures import errors_as_failures
from carecase_worker.targets.tables import CARE_CASE


def holds_cases(engine: Engine) -> bool:
    """Return whether the database has any case. Raises TargetFailure."""
    with errors_as_failures(engine), engine.connect() as connection:
        return bool(connection.execute(select(exists(select(1).select_from(CARE_CASE)))).scalar())
