"""Flower starts with a broker that is fit for it and a password that a browser can send, or says what is wrong."""

import subprocess
from itertools import islice
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest
from tests.integration.worker.flower_page.page import COMMAND, PASSWORD, running
from tests.ports import free_port
from tests.posing import VALKEY, passing_on, posing_as
from tests.services import Services

from carecase_worker.errors import StoreUnavailable
from carecase_worker.flower.server import create_flower
from carecase_worker.flower.task_events import flower_redis, listen, setting_of_broker
from carecase_worker.settings.loading import load


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


@pytest.mark.parametrize(
    ("variables", "setting"),
    [
        (("REDIS_URL", "FLOWER_BROKER_URL"), "flower.broker_url"),
        (("REDIS_URL", "BROKER_URL"), "broker.url"),
        (("REDIS_URL",), "redis.url"),
    ],
)
def test_a_broker_that_is_away_is_called_so_and_by_its_setting(variables: tuple[str, ...], setting: str) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    settings = load(environment={f"CARECASE_{name}": nobody for name in variables})
    text = f"^the broker cannot be reached; check that Redis runs, and {setting}$"
    with pytest.raises(StoreUnavailable, match=text):
        next(listen(flower_redis(settings), settings.broker.prefix, setting_of_broker(settings)))


def test_a_broker_that_says_nothing_any_more_is_noticed(monkeypatch: pytest.MonkeyPatch, servers: Services) -> None:
    """Its connection is dead at the other end: nothing comes, not even an answer to a ping."""
    monkeypatch.setattr("carecase_worker.flower.task_events.QUIET_S", 2)
    is_alive, page = Event(), urlsplit(servers.flower_redis_url)
    is_alive.set()

    def passed(piece: bytes) -> bytes:
        return piece if is_alive.is_set() else b""

    with passing_on(page.port or 0, passed) as port:
        url = f"redis://{page.username}:{page.password}@127.0.0.1:{port}/0"
        settings = load(environment={"CARECASE_REDIS_URL": url, "CARECASE_FLOWER_BROKER_URL": url})
        events = listen(flower_redis(settings), settings.broker.prefix, setting_of_broker(settings))
        assert [next(events), next(events)] == [[], []], "quiet, and it has answered a ping"
        is_alive.clear()
        with pytest.raises(StoreUnavailable, match="the broker does not answer"):
            list(islice(events, 3))


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


def test_a_taken_port_is_reported(flower: tuple[str, int], environment: dict[str, str], tmp_path: Path) -> None:
    ran = subprocess.run(
        COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 2
    assert "flower.port: " in ran.stderr
    assert "in use" in ran.stderr
