"""A target database as the contract describes it: batches applied to a dict, one item after the other.

Slow, plain, and with nothing in common with the package, as the oracle that it asks about each item.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.oracle import Sender, judge

Case = Mapping[str, Any]
Answer = tuple[int, str]
"""The status of an item, and its text as far as the contract has it; a refusal's text begins with the field."""

CREATED, UPDATED, SUPERSEDED = (201, "Created"), (200, "Updated"), (200, "Superseded")
INVALID, NOT_APPLIED, REFUSED, OTHER_CARE_PLAN = (422, ""), (424, ""), (500, ""), (409, "carePlan_Key: ")
ENTERED = ("entry_Date", "entry_User")
"""The fields that say who entered a case: no update changes them."""


@dataclass(frozen=True)
class Run:
    """One attempt at a chunk: `seq` is its batch's place in the order of acceptance, `first` its first item's place."""

    seq: int
    first: int
    cases: Sequence[Case]
    user: str
    accepted_at: datetime
    care_plan: int | None = None
    strict: bool = False

    @property
    def name(self) -> tuple[int, int]:
        """The name by which the chunk differs from all others."""
        return self.seq, self.first


@dataclass
class HeldCase:
    """A case, the place of the item that wrote it in the order of acceptance, and of the one that entered it."""

    row: dict[str, Any]
    version: tuple[int, int]
    entered: tuple[int, int]


@dataclass
class Reference:
    """A database that refuses some rows and passes over others, as a test wants it, and has done each chunk once."""

    refusal: Callable[[Case], Answer | None]
    is_passed_over: Callable[[Case], bool]
    cases: dict[int, HeldCase] = field(default_factory=dict)
    done: dict[tuple[int, int], list[Answer]] = field(default_factory=dict)

    def apply(self, run: Run) -> list[Answer]:
        """Answer each item of a chunk; what has been done before is not done again."""
        if run.name not in self.done:
            before = deepcopy(self.cases)
            answers = self._answers(run)
            if run.strict and any(status >= 400 for status, _ in answers):
                self.cases = before
                answers = [answer if answer[0] >= 400 else NOT_APPLIED for answer in answers]
            self.done[run.name] = answers
        return self.done[run.name]

    def forget(self, run: Run) -> None:
        """Know no more of a batch, or of a chunk of it, than its cases say."""
        self.done = {name: answers for name, answers in self.done.items() if name[0] != run.seq}

    def _answers(self, run: Run) -> list[Answer]:
        sender = Sender(run.care_plan, run.user, run.accepted_at)
        judged = [judge(json.dumps(case), sender) for case in run.cases]
        rows = [one if isinstance(one, dict) else None for one in judged]
        if run.strict and None in rows:
            return [INVALID if row is None else NOT_APPLIED for row in rows]
        return [self._answer(run, run.first + place, row) for place, row in enumerate(rows)]

    def _answer(self, run: Run, place: int, row: dict[str, Any] | None) -> Answer:
        if row is None:
            return INVALID
        refused = self.refusal(row)
        if refused is not None:
            return refused
        version = (run.seq, place)
        present = self.cases.get(row["case_Key"])
        if present is None and self.is_passed_over(row):
            return REFUSED
        if present is None:
            self.cases[row["case_Key"]] = HeldCase(row, version, version)
            return CREATED
        if present.version >= version:
            if present.entered > version:
                present.row = {**present.row, **{name: row[name] for name in ENTERED}}
                present.entered = version
            return SUPERSEDED
        if run.care_plan is not None and present.row["carePlan_Key"] != run.care_plan:
            return OTHER_CARE_PLAN
        if self.is_passed_over(row):
            return REFUSED
        present.row = {**row, **{name: present.row[name] for name in ENTERED}}
        present.version = version
        return UPDATED
