"""The pages work in a browser; none can be framed, kept, or run a foreign script."""

import base64
import hashlib
import re
import subprocess
from urllib.parse import quote

import pytest
from tests.integration.worker.flower_page.page import PASSWORD, USER
from tests.needs import need
from tests.plain_http import http_get
from tests.services import Services

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.settings.loading import load


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/workers", 200), ("/api/tasks", 200), ("/nowhere", 404), ("", 302), ("/x", 401)]
)
def test_no_answer_can_be_framed_sniffed_or_kept_and_no_foreign_script_runs_in_it(
    flower: tuple[str, int], path: str, status: int
) -> None:
    auth = None if status == 401 else (USER, PASSWORD)
    answer = http_get(f"{flower[0]}/tools/flower{path}", auth=auth)
    assert answer.status_code == status
    expected = {
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert "server" not in answer.headers
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'", "'none'")
    assert "unsafe" not in policy["script-src"]
    for script in re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", answer.text, flags=re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy["script-src"], "a script of the page itself would not run"


def test_the_pages_work_in_a_browser_though_nobody_asks_the_workers(flower: tuple[str, int], servers: Services) -> None:
    browser = need("chromium", "Debian's chromium")
    tell_of_a_task(servers)
    shown = {page: seen_in(browser, f"{flower[0]}/tools/flower/{page}") for page in ("workers", "tasks", "broker")}
    assert re.search(r'id="workers-online">1<', shown["workers"])
    assert "worker-name-link" in shown["workers"], "drawn by a script"
    assert "one@here" in shown["tasks"]
    assert "a-job" in shown["tasks"]
    assert "cases.none" in shown["broker"]
    followed = http_get(f"{flower[0]}/tools/flower/worker/one%40here", auth=(USER, PASSWORD))
    assert (followed.status_code, followed.headers["location"]) == (302, "/tools/flower/tasks?worker=one@here")


def seen_in(browser: str, url: str) -> str:
    """The page as a browser has it once its scripts have run."""
    credentials = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom")
    address = url.replace("http://", f"http://{credentials}@")
    # Flower's scripts cannot ask from an address with credentials in it; a page before it lets the browser know them
    return subprocess.run([browser, *options, address], capture_output=True, text=True, timeout=300, check=True).stdout


def tell_of_a_task(servers: Services) -> None:
    """Send the events of a worker and of a task, as Celery does, by the service's user of Redis."""
    app = celery_app(load(environment={"CARECASE_REDIS_URL": servers.app_redis_url}))
    with app.connection_for_write() as connection:
        events = app.events.Dispatcher(connection, hostname="one@here")
        events.send(
            "worker-heartbeat", freq=600, active=1, processed=1, loadavg=(0, 0, 0), sw_ident="", sw_ver="", sw_sys=""
        )
        events.send("task-received", uuid="an-id", name="carecase.apply_chunk", args="('a-job', 0)", kwargs="{}")
