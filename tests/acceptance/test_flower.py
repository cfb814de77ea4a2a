"""Flower: behind a password, for looking only, and with nothing to see but ids."""

import re
from collections import Counter

import httpx
import pytest
import redis
from sqlalchemy import create_engine, text
from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.plain_http import http_client, http_get


@pytest.fixture
def flower(system: System) -> httpx.Client:
    page = system.stack["flower"]
    return http_client(base_url=page["url"], auth=(page["user"], page["password"]), timeout=30)


def test_nobody_sees_it_without_the_password(system: System) -> None:
    url = system.stack["flower"]["url"]
    for path in ("", "/", "/workers", "/tasks", "/api/tasks", "/api/workers", "/metrics", "/static/js/flower.js"):
        assert http_get(url + path).status_code == 401


def test_the_url_that_is_printed_is_the_page(system: System) -> None:
    page = system.stack["flower"]
    shown = http_get(page["url"], auth=(page["user"], page["password"]), follow_redirects=True)
    assert shown.status_code == 200
    assert "Flower" in shown.text


def test_it_shows_workers_and_tasks_of_ids_only(system: System, flower: httpx.Client, first_key: int) -> None:
    job_id = system.send([a_case(first_key, case_ID="Wollstonecraft")])
    system.final(job_id)

    def tasks() -> list[dict[str, str]]:
        return [task for task in flower.get("/api/tasks").json().values() if job_id in (task["args"] or "")]

    task, *again = eventually(tasks, what="Flower saw the task")  # it may have been notified for once more
    assert {one["args"] for one in (task, *again)} == {f"('{job_id}', 0)"}
    assert task["name"] == "carecase.apply_chunk"
    assert "worker" in flower.get("/workers").text
    pages = "".join(flower.get(path).text for path in ("/workers", "/tasks", "/broker", f"/task/{task['uuid']}"))
    assert "Wollstonecraft" not in pages
    assert str(first_key) not in pages


@pytest.mark.parametrize(
    "path", ["/api/worker/shutdown/any", "/api/task/revoke/any", "/api/task/async-apply/carecase.apply_chunk"]
)
def test_nothing_can_be_done_with_it(flower: httpx.Client, path: str) -> None:
    assert flower.post(path, json={"args": []}).status_code == 403


def test_its_broker_user_cannot_read_a_payload(system: System) -> None:
    data = system.data_dir / "valkey" / "valkey.conf"
    password = next(line for line in data.read_text().splitlines() if line.startswith("user flower")).split()[3][1:]
    address = system.stack["redis"]["url"].rpartition("@")[2]
    lesser = redis.Redis.from_url(f"redis://flower:{password}@{address}")
    with pytest.raises(redis.exceptions.NoPermissionError):
        lesser.hgetall("c:job:any")
    with pytest.raises(redis.exceptions.NoPermissionError):
        lesser.config_get("*")


LINE = re.compile(r"(\d+) (created|updated|superseded|failed|cancelled)")


def items_of(tasks: "dict[str, dict[str, str]]", job_ids: "set[str]") -> Counter[str]:
    """The items by outcome in the lines of the tasks of some jobs, whatever became of the tasks."""
    lines = [f"{task['result']} {task['exception']}" for task in tasks.values()]
    return Counter(
        {
            outcome: sum(
                int(count)
                for line in lines
                if any(job_id in line for job_id in job_ids)
                for count, name in LINE.findall(line)
                if name == outcome
            )
            for outcome in ("created", "failed")
        }
    )


def test_the_lines_of_all_tasks_add_up_to_the_items_of_all_jobs(
    system: System, flower: httpx.Client, first_key: int
) -> None:
    """A batch of several chunks, a tenth of it with a fault, and small ones that are applied together."""
    large = [a_case(first_key + number, **({"case_Score": "x"} if number % 10 == 0 else {})) for number in range(2500)]
    job_ids = {system.send(large)} | {system.send([a_case(first_key + 5000 + number)]) for number in range(6)}
    for job_id in job_ids:
        system.final(job_id)
    expected = Counter(created=2256, failed=250)
    eventually(lambda: items_of(flower.get("/api/tasks").json(), job_ids) == expected, 60, "the lines add up")


def test_an_outage_shows_as_tasks_that_were_retried_and_pages_lead_from_task_to_job_and_back(
    system: System, flower: httpx.Client, first_key: int
) -> None:
    url = system.stack["databases"]["demo"]["url"]
    maintenance = create_engine(url.rpartition("/")[0] + "/postgres", isolation_level="AUTOCOMMIT")
    with maintenance.connect() as connection:
        connection.execute(text("ALTER DATABASE demo ALLOW_CONNECTIONS false"))
        try:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'demo'"))
            job_id = system.send([a_case(first_key)])

            def retried() -> "list[dict[str, str]]":
                tasks = flower.get("/api/tasks").json().values()
                return [task for task in tasks if task["state"] == "RETRY" and job_id in task["exception"]]

            task = eventually(retried, 60, "a task was retried")[0]
        finally:
            connection.execute(text("ALTER DATABASE demo ALLOW_CONNECTIONS true"))
    maintenance.dispose()
    system.final(job_id)
    assert re.fullmatch(
        rf"Released\('demo: released 1 chunk: (stopped|not-accepting); 1 job: {job_id}'\)", task["exception"]
    )
    assert f"/flower/tasks?name=carecase.apply_chunk%20{job_id}" in flower.get(f"/task/{task['uuid']}").text
    back = flower.get(f"/job/{job_id}")
    assert (back.status_code, back.headers["location"]) == (302, f"/flower/tasks?name=carecase.apply_chunk%20{job_id}")


def test_broker_and_workers_are_shown_without_a_word_in_the_log(system: System, flower: httpx.Client) -> None:
    log = system.data_dir / "logs" / "flower.log"
    before = log.stat().st_size  # other tests have taken Redis away from it
    assert "cases.demo_sqlite" in flower.get("/broker").text
    (worker, *_) = eventually(lambda: list(flower.get("/api/workers").json()), what="a worker was heard of")
    assert worker in flower.get("/").text
    assert flower.get(f"/worker/{worker}").headers["location"] == f"/flower/tasks?worker={worker}"
    lines = log.read_bytes()[before:].decode().splitlines()
    assert [line for line in lines if "error" in line.lower() or "Unable" in line] == []
