"""Links from a task to its jobs, and from a job to its tasks."""

import re
from html import escape
from typing import Any

from flower.views.tasks import TaskView
from tornado.web import RequestHandler

from carecase_worker.broker.celery_app import TASK

_JOB = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_BEFORE = b'<div class="detail-row detail-row-code task-data-row">'
"""The start of the rows of arguments and result on Flower's task page."""


def jobs_of(task: Any) -> list[str]:
    """Return the ids of a task's jobs, each once, from its arguments and its line."""
    texts = " ".join(str(getattr(task, name, "") or "") for name in ("args", "result", "exception"))
    return list(dict.fromkeys(_JOB.findall(texts)))


def with_line(task: Any) -> Any:
    """Return a task with its report line as result, also if it was retried or failed; for Flower's `format_task`."""
    result = str(getattr(task, "exception", None) or getattr(task, "result", None) or "")
    task.result = result.removeprefix("Released(").removeprefix("GaveUp(").rstrip(")").strip("'")
    return task


def tasks_path(root: str, job_id: str) -> str:
    """Return the path of Flower's list of tasks, filtered by a job."""
    return f"{root}/tasks?name={TASK}%20{job_id}"


def with_jobs(page: bytes, job_ids: list[str], root: str, job_url: str | None) -> bytes:
    """Return the page of a task with a row for its jobs: their pages at the intake, if configured, and their tasks."""
    lines = []
    for job_id in job_ids:
        url = (job_url or "").replace("{job_id}", job_id)
        name = f'<a href="{escape(url)}" rel="noopener">{job_id}</a>' if url else f"<code>{job_id}</code>"
        lines.append(f'{name} &middot; <a href="{escape(tasks_path(root, job_id))}">its tasks</a>')
    row = f'<div class="detail-row task-data-row"><dt>Jobs</dt><dd><div>{"<br>".join(lines)}</div></dd></div>\n      '
    return page.replace(_BEFORE, row.encode() + _BEFORE, 1) if lines else page


class TaskPage(TaskView):  # type: ignore[misc]  # it has no types
    """Flower's page of a task, with links to its jobs."""

    def initialize(self, root: str, job_url: str | None) -> None:
        """Take the path of Flower, and the URL of a job's page with `{job_id}` in it, if there is one."""
        self._root = root
        self._job_url = job_url

    def render_string(self, template_name: str, **values: Any) -> bytes:
        """Return a rendered template."""
        page: bytes = super().render_string(template_name, **values)
        return with_jobs(page, jobs_of(values.get("task")), self._root, self._job_url)


class JobPage(RequestHandler):
    """The redirect from a job to the list of its tasks."""

    def initialize(self, root: str) -> None:
        """Take the path of Flower."""
        self._root = root

    def get(self, job_id: str) -> None:
        """Redirect."""
        self.redirect(tasks_path(self._root, job_id))
