"""A value of a case is in the target database and nowhere else; a case key is in the result, too.

Every field of a case has a mark of its own; marked items go through every kind of failure. Then everything that anybody
can read is searched: answers, logs, metrics, Flower, Redis and its files, the arguments of processes.
"""

import json

import redis
from tests.acceptance.privacy.killing import die_with, send
from tests.acceptance.privacy.marked_cases import KEY, MARK, OTHER_SCRIPTS, bad_items, broken_bodies, marked, marks
from tests.acceptance.privacy.places import all_of_flower, all_of_redis, arguments, files_of_redis
from tests.acceptance.refusing_connections import allow_connections
from tests.acceptance.system import System, eventually
from tests.collector import Collector


def test_a_marked_value_is_found_in_the_database_and_nowhere_else(sealed: System, collector: Collector) -> None:
    answers, jobs = [], []
    with sealed.client() as client:
        for content, headers in broken_bodies():
            given = {"content-type": "application/json", **headers}
            response = client.put("/care-cases-batch", content=content, headers=given)
            assert response.status_code in (400, 401, 403, 415), response.text
            answers.append(response.text)

        taken = marked(900, case_Reason=f"{MARK}-1")
        for database in ("demo", "demo_sqlite"):
            jobs.append(send(sealed, [marked(1), marked(2), *bad_items(3)], database=database))
            jobs.append(send(sealed, [marked(4, carePlan_Key=6), *bad_items(5)], "/care-plans/5/cases-batch", database))
        jobs.append(send(sealed, [marked(6), marked(7, case_Priority=1_618_034_013), taken]))
        for job_id in jobs:
            sealed.final(job_id)  # a job waits for its database only once those before it are out of its way
        allow_connections(sealed, False)
        try:
            jobs.append(send(sealed, [marked(8), marked(9)]))
            eventually(lambda: (job := sealed.job(jobs[-1])) and job["state"] == "waiting", what="the job waits")
            in_flight = all_of_redis(sealed)
        finally:
            allow_connections(sealed, True)
        # a process that is killed takes with it the spans that it has not sent
        eventually(lambda: [span for span in collector.spans if span.error], what="failures have spans")
        jobs.append(die_with(sealed, [marked(10), marked(11, case_Priority=1_618_034_013)]))

        statuses = set()
        for job_id in jobs:
            answers.append(json.dumps(sealed.final(job_id)))
            result = client.get(f"/jobs/{job_id}/result")
            statuses |= {item["status"] for item in result.json()["data"]}
            answers.append(result.text)
        assert statuses == {200, 201, 409, 422, 500} - ({200} - statuses), "each kind of failure has happened"
        answers.append(client.get("/metrics").text)

    collector.awaited("job", job_id=jobs[-1])
    places = {
        "the answers": "\n".join(answers),
        "the logs": sealed.logs() + (sealed.place / "up.log").read_text(),
        "Redis, while a job waits": in_flight,
        "Redis": all_of_redis(sealed),
        "the files of Redis": files_of_redis(sealed),
        "Flower": all_of_flower(sealed, jobs[-1]),
        "the arguments of processes": arguments(sealed),
        "the spans": "\n".join([*map(str, collector.spans), *map(repr, collector.bodies)]),
    }
    assert {"validate", "write", "complete", "PUT /care-cases-batch"} <= {span.name for span in collector.spans}
    assert collector.elsewhere == [], "nothing but our spans is sent"
    for place, seen in places.items():
        assert len(seen) > 500, f"there is something to search in {place}"
        found = [mark for mark in marks() if mark in seen]
        assert not found, f"{found} in {place}: …{seen[max(seen.find(found[0]) - 200, 0) :][:400]}"
    promised = ("the answers",)
    keys = [str(KEY + number) for number in (*range(12), 900)]
    for place in sorted(set(places) - set(promised)):
        assert not [key for key in keys if key in places[place]], f"a case key in {place}"
    assert sealed.query(f"SELECT member_seq FROM care_case WHERE case_key = {KEY + 8}") == [(OTHER_SCRIPTS,)]


def test_redis_denied_the_service_nothing_meanwhile(sealed: System) -> None:
    denied = redis.Redis.from_url(sealed.stack["redis"]["url"]).acl_log()
    assert [entry for entry in denied if entry["username"] in ("carecase", "flower")] == []
