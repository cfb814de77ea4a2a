"""The pages work in a browser; none can be framed, kept, or run a foreign script."""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from tests.acceptance.system import eventually
from tests.browsers import Opened, chromium
from tests.integration.worker.flower_page.page import PASSWORD, USER
from tests.plain_http import http_get
from tests.services import Services

from carecase_worker.broker.celery_app import TASK, celery_app
from carecase_worker.settings.loading import load

SHOWN = {
    "workers": ('id="workers-online">1<', "worker-name-link"),
    "tasks": ("one@here", "a-job"),
    "broker": ("cases.none",),
}
"""Patterns of what each page shows."""


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/workers", 200), ("/api/tasks", 200), ("/nowhere", 404), ("", 302), ("/x", 401)]
)
def test_no_answer_can_be_framed_sniffed_or_kept_and_no_foreign_script_runs_in_it(
    flower: tuple[str, int], path: str, status: int
) -> None:
    auth = None if status == 401 else (USER, PASSWORD)
    response = http_get(f"{flower[0]}/tools/flower{path}", auth=auth)
    assert response.status_code == status
    expected = {
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
    assert {name: response.headers.get(name) for name in expected} == expected
    assert "server" not in response.headers
    policy = dict(part.strip().partition(" ")[::2] for part in response.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'", "'none'")
    assert "unsafe" not in policy["script-src"]
    for script in re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", response.text, flags=re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy["script-src"], "a script of the page itself would not run"


def test_the_pages_work_in_a_browser_though_nobody_asks_the_workers(flower: tuple[str, int], servers: Services) -> None:
    tell_of_a_task(servers)
    with in_a_browser() as shows:
        for page, patterns in SHOWN.items():
            shows(f"{flower[0]}/tools/flower/{page}", patterns)
    followed = http_get(f"{flower[0]}/tools/flower/worker/one%40here", auth=(USER, PASSWORD))
    assert (followed.status_code, followed.headers["location"]) == (302, "/tools/flower/tasks?worker=one@here")


def test_the_list_of_tasks_begins_with_what_became_of_each_and_of_which_job(flower: tuple[str, int]) -> None:
    page = http_get(f"{flower[0]}/tools/flower/tasks", auth=(USER, PASSWORD)).text
    columns = re.findall(r'<th data-column="(\w+)">', page)
    assert columns == ["state", "result", "args", "uuid", "received", "runtime", "worker"]


@contextmanager
def in_a_browser() -> Iterator[Callable[[str, Sequence[str]], None]]:
    """Provide a look at pages: each must match the patterns in the end, drawn by its scripts."""
    with chromium() as browser:
        page = browser.new_context(http_credentials={"username": USER, "password": PASSWORD}).new_page()
        opened = Opened(page)

        def shows(url: str, patterns: Sequence[str]) -> None:
            opened.goto(url, lambda: all(re.search(pattern, page.content()) for pattern in patterns))

        yield shows


def test_a_worker_is_online_by_flowers_own_clock(flower: tuple[str, int], servers: Services) -> None:
    """Its host's clock may be an hour behind, as long as its heartbeats come."""
    with events_of(servers, "behind@here") as events:
        events.send("worker-heartbeat", freq=60, timestamp=time.time() - 3600)
    shown = eventually(lambda: workers(flower[0]).get("behind@here"))
    assert shown["status"] is True


def test_a_task_is_linked_to_the_pages_of_its_jobs(flower: tuple[str, int], servers: Services) -> None:
    job = "01a21195-5341-714a-a2f7-f52d649a206b"
    with events_of(servers, "linked@here") as events:
        events.send("task-received", uuid="linked", name=TASK, args=f"('{job}', 0)", kwargs="{}")

    def page() -> str:
        return http_get(f"{flower[0]}/tools/flower/task/linked", auth=(USER, PASSWORD)).text

    assert f'<a href="https://intake.example/app#/jobs/{job}"' in eventually(lambda: job in page() and page())


def workers(url: str) -> dict[str, Any]:
    """The workers that Flower lists, by name."""
    listed = http_get(f"{url}/tools/flower/workers?json=1", auth=(USER, PASSWORD)).json()["data"]
    return {one["hostname"]: one for one in listed}


@contextmanager
def events_of(servers: Services, worker: str) -> Iterator[Any]:
    """Provide what sends the events of a worker, as Celery does, by the service's user of Redis."""
    app = celery_app(load(environment={"CARECASE_REDIS_URL": servers.app_redis_url}))
    with app.connection_for_write() as connection:
        yield app.events.Dispatcher(connection, hostname=worker)


def tell_of_a_task(servers: Services) -> None:
    """Send the events of a worker and of a task."""
    with events_of(servers, "one@here") as events:
        events.send(
            "worker-heartbeat", freq=600, active=1, processed=1, loadavg=(0, 0, 0), sw_ident="", sw_ver="", sw_sys=""
        )
        events.send("task-received", uuid="an-id", name="carecase.apply_chunk", args="('a-job', 0)", kwargs="{}")
