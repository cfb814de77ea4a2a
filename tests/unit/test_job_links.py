"""Flower's pages of tasks: the line of each as its result, and links to the jobs that it was for."""

from types import SimpleNamespace

import pytest

from carecase_worker.broker.celery_app import TASK
from carecase_worker.flower.job_links import jobs_of, with_jobs, with_line

JOB, OTHER = "01a21195-5341-714a-a2f7-f52d649a206b", "01a21195-5341-714a-a2f7-f52d649a206c"
LINE = f"demo: released 1 chunk: stopped; 1 job: {JOB}"
PAGE = b'<dl><div class="detail-row detail-row-code task-data-row"><dt>args</dt></dl>'


@pytest.mark.parametrize(
    ("exception", "result"),
    [(f"Released('{LINE}')", None), (f"GaveUp('{LINE}')", "None"), (None, f"'{LINE}'"), ("", f"'{LINE}'")],
)
def test_the_result_of_a_task_is_its_line_however_it_ended(exception: str | None, result: str | None) -> None:
    assert with_line(SimpleNamespace(exception=exception, result=result)).result == LINE


def test_a_task_of_which_nothing_is_known_has_no_line() -> None:
    assert with_line(SimpleNamespace()).result == ""


def test_the_jobs_of_a_task_are_those_of_its_arguments_and_of_its_line_each_once() -> None:
    task = SimpleNamespace(args=f"('{OTHER}', 0)", result=None, exception=f"Released('{LINE}; {OTHER}')")
    assert jobs_of(task) == [OTHER, JOB]


def test_a_job_is_linked_to_its_page_if_there_is_one_and_to_its_tasks() -> None:
    linked = with_jobs(PAGE, [JOB], "/flower", "https://host/app?a=1&b=2#/jobs/{job_id}").decode()
    assert f'<a href="https://host/app?a=1&amp;b=2#/jobs/{JOB}" rel="noopener">{JOB}</a>' in linked
    assert f'<a href="/flower/tasks?name={TASK}%20{JOB}">its tasks</a>' in linked
    assert f"<code>{JOB}</code>" in with_jobs(PAGE, [JOB], "/flower", None).decode()
    assert with_jobs(PAGE, [], "/flower", None) == PAGE
