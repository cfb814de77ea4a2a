"""Errors after which a database may be there and have refused a single item, and those after which it is not."""

from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import errors
from sqlalchemy.exc import InvalidRequestError, OperationalError

from carecase_worker.targets.dialects.registry import DIALECTS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_error_that_is_not_the_drivers_blames_no_item(dialect: str) -> None:
    found = DIALECTS[dialect].errors
    assert not found.answered(InvalidRequestError("no"))
    assert not found.answered(OperationalError("INSERT", {}, ValueError("no")))


class Shutdown(errors.AdminShutdown):
    """The error of an administrator's shutdown, with what the server says of it."""

    def __init__(self, severity: str) -> None:
        super().__init__("terminating connection")
        self.severity = severity

    @property
    def diag(self) -> Any:
        return SimpleNamespace(severity_nonlocalized=self.severity, context=None, source_function=None)


@pytest.mark.parametrize(("severity", "answered"), [("ERROR", True), ("FATAL", False), ("PANIC", False)])
def test_an_error_that_ends_the_session_blames_no_item_though_nobody_noticed_yet(severity: str, answered: bool) -> None:
    """A trigger may raise any code, but as an ERROR."""
    error = OperationalError("INSERT", {}, Shutdown(severity))
    assert DIALECTS["postgresql"].errors.answered(error) is answered
