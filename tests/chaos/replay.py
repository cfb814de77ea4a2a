"""The reference: accepted batches applied one after the other, in order of acceptance. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from carecase_worker.targets.case_versions import HIGHEST_SEQ

Case = dict[str, Any]
Held = tuple[int, str, str]
"""What a case holds that the clients vary: care plan, case_ID, entry_User."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch that was answered 202. `care_plan` is the one of its path, if it had one; `seq` is the job's sequence."""

    job_id: str
    before: datetime
    after: datetime
    database: str
    care_plan: int | None
    cases: Sequence[Case]
    cancelled: bool = False
    seq: int = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a run left behind in one database, and its results.

    `held` is what the cases hold; `results` is key, status and body of each item, by job; `written` has every case key
    and version that was ever committed; `ledger` has the jobs with rows in the ledger.
    """

    held: Mapping[int, Held]
    results: Mapping[str, Sequence[tuple[int | None, int, str]]]
    written: Set[tuple[object, int]]
    ledger: Set[str] = frozenset()


@dataclass
class Verdict:
    """What the comparison found."""

    lost: int = 0
    stale: int = 0
    wrong: int = 0
    details: list[str] = field(default_factory=list)

    def note(self, what: str, detail: str) -> None:
        """Count a difference, and keep the first few."""
        setattr(self, what, getattr(self, what) + 1)
        if len(self.details) < 20:
            self.details.append(f"{what}: {detail}")


def is_valid(case: Case, care_plan: int | None) -> bool:
    """Whether an item keeps the rules; the clients break only these."""
    return (
        isinstance(case.get("case_Key"), int)
        and len(case.get("case_Status") or "") <= 8
        and care_plan in (None, case["carePlan_Key"])
    )


def compare(batches: Iterable[Sent], found: Found, user: str) -> Verdict:
    """Hold one database, and the result of each of its batches, to a replay, in which dry runs do nothing.

    An item of a cancelled batch that was answered Cancelled counts as not sent, and so does one that was answered 500,
    if a trigger may have failed over it.
    """
    verdict, batches = Verdict(), list(batches)
    _judge_dry_runs([batch for batch in batches if batch.dry_run], found, verdict)
    expected: dict[int, Held] = {}
    newest: dict[int, tuple[str, int]] = {}
    created: Counter[int] = Counter()
    outcomes: dict[int, list[tuple[tuple[str, int], str]]] = defaultdict(list)
    for batch in sorted((one for one in batches if not one.dry_run), key=lambda one: one.seq):
        answers = found.results[batch.job_id]
        if len(answers) != len(batch.cases):
            verdict.note("lost", f"{batch.job_id} has {len(answers)} answers for {len(batch.cases)} items")
            continue
        for place, (case, (key, status, body)) in enumerate(zip(batch.cases, answers, strict=True)):
            at = (batch.job_id, place)
            _compare_with_writes(batch, at, case["case_Key"], body, found.written, verdict)
            if body == "Cancelled" and batch.cancelled:
                continue
            if status == 500 and is_valid(case, batch.care_plan) and case.get("case_Reason") is not None:
                continue
            if not is_valid(case, batch.care_plan):
                if status != 422:
                    verdict.note("wrong", f"{at} broke a rule and was answered {status}")
                continue
            case_key = case["case_Key"]
            if key != case_key:
                verdict.note("wrong", f"{at} was answered for another key")
            before = expected.get(case_key)
            if batch.care_plan is not None and before is not None and before[0] != batch.care_plan:
                if status != 409:
                    verdict.note("wrong", f"{at} belongs to another care plan and was answered {status}")
                continue
            if status not in (200, 201):
                verdict.note("wrong", f"{at} was answered {status} {body}")
                continue
            entered = before[2] if before else case.get("entry_User") or user
            expected[case_key] = (case["carePlan_Key"], case["case_ID"], entered)
            newest[case_key] = at
            created[case_key] += status == 201
            outcomes[case_key].append((at, body))
    _compare_cases(expected, found.held, verdict)
    for case_key, answers_of_key in outcomes.items():
        if created[case_key] != 1:
            verdict.note("wrong", f"case {case_key} was created {created[case_key]} times by the answers")
        if dict(answers_of_key)[newest[case_key]] == "Superseded":
            verdict.note("wrong", f"the newest item of case {case_key} was answered Superseded")
    return verdict


def _judge_dry_runs(dry_runs: Sequence[Sent], found: Found, verdict: Verdict) -> None:
    """None of them has left anything, and each of its items has an outcome, or its fault."""
    for key, version in found.written:
        if version >> 20 == HIGHEST_SEQ:
            verdict.note("wrong", f"case {key!r} was written by a dry run")
    names = {case["case_ID"] for batch in dry_runs for case in batch.cases}
    for case_key, (_, case_id, _) in found.held.items():
        if case_id in names:
            verdict.note("wrong", f"case {case_key} holds what a dry run sent")
    for batch in dry_runs:
        if batch.job_id in found.ledger:
            verdict.note("wrong", f"the dry run {batch.job_id} is in the ledger")
        for case, (_, status, body) in zip(batch.cases, found.results[batch.job_id], strict=True):
            allowed = {"Cancelled"} if batch.cancelled else set()
            allowed |= (
                {"Would be created", "Would be updated", "Unchanged"} if is_valid(case, batch.care_plan) else set()
            )
            is_fault = status in ((409, 500) if is_valid(case, batch.care_plan) else (422,))
            if body not in allowed and (body == "Cancelled" or not is_fault):
                verdict.note("wrong", f"an item of the dry run {batch.job_id} was answered {status} {body}")


def _compare_with_writes(
    batch: Sent, at: tuple[str, int], key: object, body: str, written: Set[tuple[object, int]], verdict: Verdict
) -> None:
    """An item is answered Created or Updated if, and only if, it was written."""
    was_written = (key, batch.seq << 20 | at[1]) in written
    if was_written != (body in ("Created", "Updated")):
        verdict.note("wrong", f"{at} was {'' if was_written else 'not '}written and answered {body}")


def _compare_cases(expected: Mapping[int, Held], held: Mapping[int, Held], verdict: Verdict) -> None:
    for case_key in expected.keys() - held.keys():
        verdict.note("lost", f"case {case_key} is not there")
    for case_key in held.keys() - expected.keys():
        verdict.note("wrong", f"case {case_key} should not be there")
    for case_key in expected.keys() & held.keys():
        if expected[case_key] != held[case_key]:
            verdict.note("stale", f"case {case_key} holds {held[case_key]}, not {expected[case_key]}")
