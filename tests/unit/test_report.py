"""The line of a task for Flower, and the state that it shows."""

import pytest
from celery.exceptions import Retry

from carecase_worker.worker.attempts.report import GaveUp, Report, TaskState
from carecase_worker.worker.tasks import line_of

FIRST, SECOND = "0199c0de-0000-7000-8000-000000000001", "0199c0de-0000-7000-8000-000000000002"


def test_chunks_of_several_jobs_add_up() -> None:
    report = Report()
    report.keep("demo", FIRST, {"created": 990, "failed": 10})
    report.keep("demo", FIRST, {"created": 5, "superseded": 2})
    report.keep("demo", SECOND, {"updated": 3})
    assert line_of(report) == (
        f"demo: 995 created, 3 updated, 2 superseded, 10 failed in 3 chunks; 2 jobs: {FIRST}, {SECOND}"
    )


def test_dry_runs_are_shown_as_such() -> None:
    report = Report()
    report.keep("demo", FIRST, {"created": 5})
    report.keep("demo", SECOND, {"created": 3, "failed": 2}, dry_run=True)
    assert line_of(report) == (
        f"demo: 5 created in 1 chunk; dry run, rolled back: 3 created, 2 failed in 1 chunk; 2 jobs: {FIRST}, {SECOND}"
    )
    report.begin()
    report.keep("demo", SECOND, {"updated": 1}, dry_run=True)
    assert line_of(report) == f"demo: dry run, rolled back: 1 updated in 1 chunk; 1 job: {SECOND}"


def test_a_task_that_found_nothing_to_do_says_why() -> None:
    assert line_of(Report(verdict="busy")) == "nothing applied: busy"


def test_an_attempt_that_was_released_is_retried_and_reports_what_was_applied_before() -> None:
    report = Report()
    report.keep("demo", FIRST, {"created": 5})
    report.release("demo", [FIRST], "refused")
    with pytest.raises(Retry) as raised:
        line_of(report)
    assert raised.value.excs == f"Released('demo: 5 created in 1 chunk; released 1 chunk: refused; 1 job: {FIRST}')"


def test_an_attempt_that_gave_up_has_failed_whatever_else_was_done() -> None:
    report = Report()
    report.release("demo", [SECOND], "away")
    report.give_up("demo", FIRST, "away")
    report.keep("demo", FIRST, {"failed": 5})
    assert report.state is TaskState.FAILED
    with pytest.raises(GaveUp) as raised:
        line_of(report)
    assert str(raised.value) == (
        f"demo: 5 failed in 1 chunk; released 1 chunk: away; gave up 1 chunk: away; 2 jobs: {SECOND}, {FIRST}"
    )


def test_the_line_of_many_jobs_is_short() -> None:
    report = Report()
    for number in range(500):
        report.keep("demo", f"0199c0de-0000-7000-8000-{number:012}", {"created": 1})
    assert line_of(report).startswith(
        "demo: 500 created in 500 chunks; 500 jobs: 0199c0de-0000-7000-8000-000000000000,"
    )
    assert line_of(report).endswith("-000000000007 and 492 more")
    assert len(line_of(report)) < 500


def test_the_next_task_begins_anew() -> None:
    report = Report()
    report.give_up("demo", FIRST, "away")
    report.begin()
    assert report == Report()
