"""The operators' page as a process: every route that Flower has is behind the password, however that is spelled."""

import base64
import hashlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
import redis
from flower.urls import handlers
from tests.acceptance.system import eventually
from tests.needs import need
from tests.plain_http import http_client, http_get
from tests.ports import free_port
from tests.posing import VALKEY, posing_as
from tests.services import Services

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.errors import StoreUnavailable
from carecase_worker.flower.server import create_flower
from carecase_worker.settings.loading import load, process_environment

USER, PASSWORD = "ops, people", 'a,b:c %41#d ü "quoted" $(x) --read_only=false'
COMMAND = (sys.executable, "-m", "carecase_worker", "flower")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


@pytest.fixture(scope="module")
def environment(servers: Services) -> dict[str, str]:
    """The settings of a Flower, in a world that has something to say to Flower's own command."""
    settings = {
        "REDIS_URL": servers.flower_redis_url,
        "FLOWER_PORT": str(free_port()),
        "FLOWER_USER": USER,
        "FLOWER_PASSWORD": PASSWORD,
        "FLOWER_URL_PREFIX": "/tools/flower/",
        "FLOWER_WRONG_PASSWORDS_PER_MINUTE": "100000",
    }
    own = {"FLOWER_PORT": "tcp://10.0.0.1:5555", "FLOWER_BASIC_AUTH": "eve:eve", "FLOWER_READ_ONLY": "false"}
    return {**process_environment(), **own, **{f"CARECASE_{name}": value for name, value in settings.items()}}


@pytest.fixture(scope="module")
def flower(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[str, int]]":
    """The address and the process id of a Flower."""
    place = tmp_path_factory.mktemp("flower")
    (place / "flowerconfig.py").write_text("basic_auth = ['eve:eve']\nread_only = False\n")
    with running(environment, place) as told:
        yield told


@contextmanager
def running(environment: dict[str, str], place: Path) -> "Iterator[tuple[str, int]]":
    """Run a Flower; its address and its process id."""
    url = f"http://127.0.0.1:{environment['CARECASE_FLOWER_PORT']}"
    with subprocess.Popen(COMMAND, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:

        def serves() -> bool:
            assert process.poll() is None, process.communicate()[1]
            try:
                return http_get(f"{url}/tools/flower/healthcheck").status_code == 200
            except httpx.TransportError:
                return False

        try:
            eventually(serves, 120)
            yield url, process.pid
        finally:
            process.terminate()
            told = process.communicate(timeout=60)[1]
            assert process.returncode == 0
            assert "Traceback" not in told


def routes() -> list[str]:
    """A path for each of Flower's routes, below its prefix."""
    patterns = [handler.regex.pattern if hasattr(handler, "regex") else handler[0] for handler in handlers]
    paths = [re.sub(r"\(\.[+*]\)|\.\*", "x", pattern.rstrip("$")).replace("/?", "") for pattern in patterns]
    assert {"/metrics", "/healthcheck", "/api/workers", "/static/x", "/login", "x"} <= set(paths)
    return [path if path.startswith("/") else f"/{path}" for path in paths if path != "/healthcheck"]


@pytest.mark.parametrize("own_user", [True, False])
def test_a_server_that_is_not_supported_is_refused_where_the_job_store_has_a_password_of_its_own(
    servers: Services, own_user: bool
) -> None:
    store, page = urlsplit(servers.redis_url), urlsplit(servers.flower_redis_url)
    with posing_as(6, store.port or 0, VALKEY) as old:
        variables = {
            "CARECASE_REDIS_URL": f"redis://{store.username}@127.0.0.1:{old}/0",
            "CARECASE_REDIS_PASSWORD": str(store.password),
            "CARECASE_FLOWER_PASSWORD": PASSWORD,
        }
        if own_user:
            variables["CARECASE_FLOWER_BROKER_URL"] = f"redis://{page.username}@127.0.0.1:{old}/0"
            variables["CARECASE_FLOWER_BROKER_PASSWORD"] = str(page.password)
        with pytest.raises(StoreUnavailable, match=r"Valkey 6\..* is not supported"):
            create_flower(load(environment=variables))


def test_a_broker_of_its_own_may_be_older_than_a_job_store_has_to_be(
    servers: Services, environment: dict[str, str], tmp_path: Path
) -> None:
    page = urlsplit(servers.flower_redis_url)
    with posing_as(6, page.port or 0, VALKEY) as old:
        apart = {
            "CARECASE_BROKER_URL": f"redis://{page.username}:{page.password}@127.0.0.1:{old}/0",
            "CARECASE_FLOWER_PORT": str(free_port()),
        }
        with running({**environment, **apart}, tmp_path):
            pass  # it serves


def test_every_route_needs_the_password(flower: tuple[str, int]) -> None:
    url, _ = flower
    others = ["", "/", "/tools", "/metrics", "/tools/flower", "/static/js/flower.js", "/ws", "//tools/flower/metrics"]
    others += ["/tools/flower/healthcheck/", "/tools/flower/HEALTHCHECK", "/tools/flower/static/js/flower.js"]
    with http_client(timeout=60) as client:
        for path in [*others, *(f"/tools/flower{route}" for route in routes())]:
            for method in METHODS:
                answer = client.request(method, url + path)
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"].startswith("Basic ")
        for wrong in (
            ("eve", "eve"),
            (USER, "a"),
            ("ops", PASSWORD),
            (USER, ""),
            ("", PASSWORD),
            (USER, PASSWORD[:-1]),
        ):
            assert client.get(f"{url}/tools/flower/metrics", auth=wrong).status_code == 401


def test_its_health_needs_none_from_this_machine_and_tells_nothing(flower: tuple[str, int]) -> None:
    answer = http_get(f"{flower[0]}/tools/flower/healthcheck")
    assert (answer.status_code, answer.text) == (200, "OK")


def test_from_another_machine_its_health_needs_the_password_as_everything_does(
    environment: dict[str, str], tmp_path: Path
) -> None:
    address = next(
        told.address
        for held in psutil.net_if_addrs().values()
        for told in held
        if told.family is socket.AF_INET and not told.address.startswith("127.")
    )
    own = {"CARECASE_FLOWER_HOST": "0.0.0.0", "CARECASE_FLOWER_WRONG_PASSWORDS_PER_MINUTE": "2"}
    with running({**environment, **own, "CARECASE_FLOWER_PORT": str(free_port())}, tmp_path) as (url, _):
        outside = f"http://{address}:{urlsplit(url).port}/tools/flower"
        assert http_get(f"{outside}/healthcheck").status_code == 401
        assert http_get(f"{outside}/healthcheck", auth=(USER, PASSWORD)).text == "OK"
        # whoever has been wrong too often is not told by the answer which password is right
        statuses = [http_get(outside, auth=(USER, "wrong")).status_code for _ in range(4)]
        assert statuses == [401, 401, 429, 429]
        refused = http_get(f"{outside}/metrics", auth=(USER, PASSWORD))
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert http_get(f"{outside}/metrics").status_code == 401, "who sends none is asked for it"
        told = http_get(f"{url}/tools/flower/metrics", auth=(USER, PASSWORD))
        assert "\ncarecase_flower_wrong_passwords_total 2.0\n" in told.text


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
    """Tell what a worker tells of itself and of a task, as Celery does, by the service's user of Redis."""
    app = celery_app(load(environment={"CARECASE_REDIS_URL": servers.app_redis_url}))
    with app.connection_for_write() as connection:
        events = app.events.Dispatcher(connection, hostname="one@here")
        events.send(
            "worker-heartbeat", freq=600, active=1, processed=1, loadavg=(0, 0, 0), sw_ident="", sw_ver="", sw_sys=""
        )
        events.send("task-received", uuid="an-id", name="carecase.apply_chunk", args="('a-job', 0)", kwargs="{}")


def test_whoever_has_the_password_sees_the_pages(flower: tuple[str, int]) -> None:
    with http_client(auth=(USER, PASSWORD), base_url=flower[0], timeout=60) as client:
        shown = client.get("/tools/flower", follow_redirects=True)
        assert (shown.status_code, shown.url.path) == (200, "/tools/flower/")
        for link in re.findall(r'(?:src|href)="(/[^"]+)"', shown.text):
            assert client.get(link).status_code == 200, link
        assert "flower_events" in client.get("/tools/flower/metrics").text
        assert client.get("/tools/flower/api/workers").status_code == 200
        assert client.get("/tools/flower/nowhere").status_code == 404
        assert client.post("/tools/flower/api/worker/shutdown/any").status_code == 403
        for own in ("/api/queues/length", "/api/workers?refresh=true", "/workers?refresh=true", "/broker"):
            assert client.get(f"/tools/flower{own}").status_code == 200


def test_the_password_is_not_in_the_list_of_processes(flower: tuple[str, int]) -> None:
    assert "quoted" not in " ".join(psutil.Process(flower[1]).cmdline())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FLOWER_PASSWORD", "", "CARECASE_FLOWER_PASSWORD: is empty"),
        ("FLOWER_PASSWORD", "a\tb", "flower.password: must be text of one line"),
        ("FLOWER_USER", "a:b", "flower.user: must not have a colon"),
    ],
)
def test_what_no_browser_can_send_is_refused_at_start(
    environment: dict[str, str], tmp_path: Path, name: str, value: str, words: str
) -> None:
    changed = {**environment, f"CARECASE_{name}": value}
    ran = subprocess.run(COMMAND, cwd=tmp_path, env=changed, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 2
    assert words in ran.stderr


def test_a_taken_port_is_told(flower: tuple[str, int], environment: dict[str, str], tmp_path: Path) -> None:
    ran = subprocess.run(
        COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 2
    assert "flower.port: " in ran.stderr
    assert "in use" in ran.stderr


def test_of_many_connections_the_oldest_gives_way_and_the_health_is_still_told(flower: tuple[str, int]) -> None:
    url, pid = flower
    address, most = urlsplit(url), 200
    with ExitStack() as stack:

        def connected() -> socket.socket:
            return stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))

        def asked(one: socket.socket) -> bytes:
            received = b""
            with suppress(ConnectionError):
                one.sendall(b"GET /tools/flower/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
                while not received.endswith(b"\r\n\r\nOK") and (piece := one.recv(1 << 16)):
                    received += piece
            return received[:12]

        held = [connected() for _ in range(most)]
        assert [asked(one) for one in (held[0], held[-1])] == [b"HTTP/1.1 200"] * 2
        held.append(connected())
        assert [asked(one) for one in (held[-1], held[1], held[0])] == [b"HTTP/1.1 200", b"HTTP/1.1 200", b""]
        for _ in range(1100):  # more than there are descriptors, usually
            connected()
        assert http_get(f"{url}/tools/flower/healthcheck", timeout=60).status_code == 200
        assert psutil.Process(pid).num_fds() < most + 100
        told = http_get(f"{url}/tools/flower/metrics", auth=(USER, PASSWORD), timeout=60).text
        assert re.search(r"\ncarecase_flower_connections_gave_way_total 1\d\d\d\.0\n", told)


TASKS, WORKERS = 15_000, 1_500
"""Three times what it keeps."""
MOST_BYTES = 150 << 20


@pytest.mark.timeout(600)
def test_its_memory_is_bounded_whatever_has_passed(servers: Services, flower: "tuple[str, int]") -> None:
    """Tasks and workers come and go, each task with a line as long as they get."""
    url, pid = flower
    auth = (USER.encode(), PASSWORD.encode())
    with redis.Redis.from_url(servers.redis_url) as broker:
        eventually(lambda: broker.pubsub_numpat(), what="Flower listens")
        for first in range(0, TASKS, 100):
            broker.publish("b:/0.celeryev/task.multi", message_of(range(first, first + 100)))
            # what it has not taken yet is memory, too, but of Redis and of a socket
            eventually(partial(is_known, f"{url}/tools/flower/api/task/info/{id_of(first + 99)}"), 60)
    held = psutil.Process(pid).memory_info().rss
    assert held < MOST_BYTES, f"{held >> 20} MB"
    assert len(http_get(f"{url}/tools/flower/api/tasks", auth=auth, timeout=60).json()) == 5_000
    assert len(http_get(f"{url}/tools/flower/api/workers", auth=auth, timeout=60).json()) <= 500


def is_known(url: str) -> bool:
    return http_get(url, auth=(USER.encode(), PASSWORD.encode()), timeout=60).status_code == 200


def id_of(number: int) -> str:
    return str(UUID(int=number + 1))


def worker_of(number: int) -> str:
    """The worker of a task: each has a few, and is then started anew."""
    return f"celery@host-{number // (TASKS // WORKERS)}x"


def message_of(numbers: "range") -> str:
    """The message of the events of some tasks."""
    events = [event for number in numbers for event in events_of_task(number)]
    return json.dumps({"body": base64.b64encode(json.dumps(events).encode()).decode()})


def events_of_task(number: int) -> "Iterator[dict[str, object]]":
    jobs = ", ".join(str(uuid4()) for _ in range(8))
    common = {"uuid": id_of(number), "hostname": worker_of(number), "pid": 1, "timestamp": time.time(), "utcoffset": 0}
    task = {"name": "carecase.apply_chunk", "args": f"('{uuid4()}', 0)", "kwargs": "{}", "retries": 0}
    yield {"type": "worker-heartbeat", **common, "clock": 4 * number + 1, "freq": 2}
    yield {"type": "task-received", **common, "clock": 4 * number + 2, **task}
    yield {"type": "task-started", **common, "clock": 4 * number + 3}
    line = f"'demo: 990 created, 10 failed in 8 chunks; 8 jobs: {jobs}'"
    yield {"type": "task-succeeded", **common, "clock": 4 * number + 4, "result": line, "runtime": 0.1}
