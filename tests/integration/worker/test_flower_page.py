"""The operators' page as a process: every route that Flower has is behind the password, however that is spelled."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from flower.urls import handlers
from tests.acceptance.system import eventually
from tests.ports import free_port
from tests.posing import VALKEY, posing_as
from tests.services import Services

from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.loading import load, process_environment
from carecase_worker.worker.flower import create_flower

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
    }
    own = {"FLOWER_PORT": "tcp://10.0.0.1:5555", "FLOWER_BASIC_AUTH": "eve:eve", "FLOWER_READ_ONLY": "false"}
    return {**process_environment(), **own, **{f"CARECASE_{name}": value for name, value in settings.items()}}


@pytest.fixture(scope="module")
def flower(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[str, int]]":
    """The address and the process id of a Flower."""
    place = tmp_path_factory.mktemp("flower")
    (place / "flowerconfig.py").write_text("basic_auth = ['eve:eve']\nread_only = False\n")
    url = f"http://127.0.0.1:{environment['CARECASE_FLOWER_PORT']}"
    with subprocess.Popen(COMMAND, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:

        def serves() -> bool:
            assert process.poll() is None, process.communicate()[1]
            try:
                return httpx.get(f"{url}/tools/flower/healthcheck").status_code == 200
            except httpx.TransportError:
                return False

        try:
            eventually(serves)
            yield url, process.pid
        finally:
            process.terminate()
            assert process.wait(60) == 0
            assert "Traceback" not in process.communicate()[1]


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


def test_every_route_needs_the_password(flower: tuple[str, int]) -> None:
    url, _ = flower
    others = ["", "/", "/tools", "/metrics", "/tools/flower", "/static/js/flower.js", "/ws", "//tools/flower/metrics"]
    others += ["/tools/flower/healthcheck/", "/tools/flower/HEALTHCHECK", "/tools/flower/static/js/flower.js"]
    with httpx.Client(timeout=60) as client:
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


def test_its_health_needs_none_and_tells_nothing(flower: tuple[str, int]) -> None:
    answer = httpx.get(f"{flower[0]}/tools/flower/healthcheck")
    assert (answer.status_code, answer.text) == (200, "OK")


def test_whoever_has_the_password_sees_the_pages(flower: tuple[str, int]) -> None:
    with httpx.Client(auth=(USER, PASSWORD), base_url=flower[0], timeout=60) as client:
        shown = client.get("/tools/flower", follow_redirects=True)
        assert (shown.status_code, shown.url.path) == (200, "/tools/flower/")
        for link in re.findall(r'(?:src|href)="(/[^"]+)"', shown.text):
            assert client.get(link).status_code == 200, link
        assert "flower_events" in client.get("/tools/flower/metrics").text
        assert client.get("/tools/flower/api/workers").status_code == 200
        assert client.get("/tools/flower/nowhere").status_code == 404
        assert client.post("/tools/flower/api/worker/shutdown/any").status_code == 403


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
