"""Items and what validation makes of them."""

from typing import Any

from tests.builders import NOW, a_batch, a_case

from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.cases.validation import Row, Rules, validate

RULES = Rules(care_plan=None, user="sender", moment=NOW)


def judged(*cases: Any, rules: Rules = RULES) -> list[Row | Outcome]:
    return validate(a_batch(*cases), rules)


def row_of(**fields: Any) -> Row:
    (row,) = judged(a_case(**fields))
    assert isinstance(row, dict), row
    return row


def faults_of(**fields: Any) -> str:
    (outcome,) = judged(a_case(**fields))
    assert isinstance(outcome, Outcome)
    assert outcome.kind is Kind.INVALID
    return outcome.body
