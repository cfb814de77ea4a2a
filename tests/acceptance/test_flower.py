"""Flower: behind a password, for looking only, and with nothing to see but ids."""

import httpx
import pytest
import redis
from tests.acceptance.system import System, eventually
from tests.builders import a_case


@pytest.fixture
def flower(system: System) -> httpx.Client:
    held = system.stack["flower"]
    return httpx.Client(base_url=held["url"], auth=(held["user"], held["password"]), timeout=30)


def test_nobody_sees_it_without_the_password(system: System) -> None:
    url = system.stack["flower"]["url"]
    for path in ("", "/", "/workers", "/tasks", "/api/tasks", "/api/workers", "/metrics", "/static/js/flower.js"):
        assert httpx.get(url + path).status_code == 401


def test_the_url_that_is_told_is_the_page(system: System) -> None:
    held = system.stack["flower"]
    shown = httpx.get(held["url"], auth=(held["user"], held["password"]), follow_redirects=True)
    assert shown.status_code == 200
    assert "Flower" in shown.text


def test_it_shows_workers_and_tasks_of_ids_only(system: System, flower: httpx.Client, first_key: int) -> None:
    job_id = system.send([a_case(first_key, case_ID="Wollstonecraft")])
    system.final(job_id)

    def tasks() -> list[dict[str, str]]:
        return [task for task in flower.get("/api/tasks").json().values() if job_id in task["args"]]

    (task,) = eventually(tasks, what="Flower saw the task")
    assert task["args"] == f"('{job_id}', 0)"
    assert task["name"] == "carecase.apply_chunk"
    assert "worker" in flower.get("/workers").text
    pages = "".join(flower.get(path).text for path in ("/workers", "/tasks", "/broker", f"/task/{task['uuid']}"))
    assert "Wollstonecraft" not in pages
    assert str(first_key) not in pages


@pytest.mark.parametrize(
    "path", ["/api/worker/shutdown/any", "/api/task/revoke/any", "/api/task/async-apply/carecase.apply_chunk"]
)
def test_nothing_can_be_done_with_it(flower: httpx.Client, path: str) -> None:
    assert flower.post(path, json={"args": []}).status_code in (403, 405)


def test_its_broker_user_cannot_read_a_payload(system: System) -> None:
    data = system.data_dir / "valkey" / "valkey.conf"
    password = next(line for line in data.read_text().splitlines() if line.startswith("user flower")).split()[3][1:]
    address = system.stack["redis"]["url"].rpartition("@")[2]
    lesser = redis.Redis.from_url(f"redis://flower:{password}@{address}")
    with pytest.raises(redis.exceptions.NoPermissionError):
        lesser.hgetall("c:job:any")
    with pytest.raises(redis.exceptions.NoPermissionError):
        lesser.config_get("*")
