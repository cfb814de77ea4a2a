"""The texts of errors: they never quote what was written."""

import re
from pathlib import Path

import pytest

from carecase_worker import errors
from carecase_worker.errors import (
    Cause,
    ClientError,
    FailureKind,
    JobNotFinal,
    StackStopped,
    TargetFailure,
    safe_error_fields,
)

CAUSE = Cause("disk-full", "its disk is full: free some space")


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (TargetFailure(FailureKind.TOO_SLOW), "target database: too-slow"),
        (TargetFailure(FailureKind.REFUSED, "P0001"), "target database: refused (P0001)"),
        (TargetFailure(FailureKind.AWAY, cause=CAUSE), "its disk is full: free some space"),
        (TargetFailure(FailureKind.AWAY, "53100", CAUSE), "its disk is full: free some space (53100)"),
    ],
)
def test_a_failure_names_its_cause_and_the_databases_code(failure: TargetFailure, text: str) -> None:
    assert str(failure) == text


def test_an_unexpected_error_is_logged_by_its_type_and_place_alone() -> None:
    def fail() -> None:
        raise ValueError("a case's value")

    with pytest.raises(ValueError) as caught:
        fail()
    fields = safe_error_fields(caught.value)
    assert fields["error"] == "ValueError"
    assert re.fullmatch(rf"fail in {re.escape(Path(__file__).name)}:\d+", fields["where"])
    assert set(fields) == {"error", "where"}
    assert safe_error_fields(KeyError("never raised")) == {"error": "KeyError", "where": ""}


def test_the_drawing_of_the_tree_is_the_tree() -> None:
    drawn = re.findall(r"^(    [│ ├└─]*)([A-Z]\w+)", errors.__doc__ or "", flags=re.MULTILINE)
    parents: list[str] = []
    parent_of: dict[str, str] = {}
    for indent, name in drawn:
        depth = (len(indent) - 4) // 4
        parents[depth:] = [name]
        parent_of[name] = parents[depth - 1] if depth else "Exception"
    made = {
        name: one.__bases__[0].__name__
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, Exception)
    }
    assert parent_of == made


def test_a_clients_error_knows_the_status_of_the_answer() -> None:
    assert (ClientError("no").status, JobNotFinal("not yet", 202).status, str(JobNotFinal("not yet"))) == (
        None,
        202,
        "not yet",
    )
    assert issubclass(StackStopped, errors.StackError)
