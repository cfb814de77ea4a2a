"""Translation of a target database's errors for its callers."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.targets.dialects.registry import dialect_of


@contextmanager
def errors_as_failures(engine: Engine) -> Iterator[None]:
    """Raise TargetFailure for every error of the database within."""
    try:
        yield
    except SQLAlchemyError as error:
        raise dialect_of(engine).errors.failure_of(error) from None
