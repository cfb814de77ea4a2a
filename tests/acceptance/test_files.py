"""Files of rows, as a partner sends them to the running system."""

import csv
import gzip
import io

import httpx
from tests.acceptance.system import System

HEADER = "case_Key,carePlan_Key,do_Not_Contact,case_ID,case_Status\r\n"


def put(system: System, body: bytes, **headers: str) -> httpx.Response:
    sent = {"content-type": "text/csv", "prefer": "wait=60", **{k.replace("_", "-"): v for k, v in headers.items()}}
    with system.client() as client:
        return client.put("/care-plans/5/cases-batch", content=body, headers=sent)


def test_a_file_is_applied_and_each_row_answered_with_its_line(system: System) -> None:
    first = 810_000_000
    rows = "".join(
        f'{first + n},5,{"maybe" if n == 1200 else "false"},"00{n}{chr(10) if n == 3 else ""}",OPEN\r\n'
        for n in range(2500)
    )
    answer = put(system, gzip.compress((HEADER + rows).encode()), content_encoding="gzip")
    assert answer.status_code == 207, answer.text
    items = answer.json()["data"]
    assert [item["line"] for item in items] == [2, 3, 4, 5, *range(7, 2503)]
    assert [(item["line"], item["body"]) for item in items if item["status"] != 201] == [
        (1203, "do_Not_Contact: must be true or false")
    ]
    applied = dict(
        system.query(f"SELECT case_key, case_id FROM care_case WHERE case_key BETWEEN {first} AND {first + 3}")
    )
    assert applied == {first: "000", first + 1: "001", first + 2: "002", first + 3: "003\n"}


def test_the_acknowledgement_comes_in_the_order_of_the_rows(system: System) -> None:
    answer = put(system, f"{HEADER}812,5,false,a,OPEN\r\n\r\n811,6,false,b,OPEN\r\n".encode(), accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["line"], row["case_Key"], row["status"], row["field"]) for row in rows] == [
        ("2", "812", "201", ""),
        ("4", "811", "422", "carePlan_Key"),
    ]
    with system.client(accept="text/csv") as client:
        again = client.get(f"{answer.headers['location']}/result")
        failed = client.get(f"{answer.headers['location']}/result", params={"outcome": "failed"})
    assert again.text == answer.text
    assert failed.text.splitlines() == [answer.text.splitlines()[0], answer.text.splitlines()[2]]


def test_of_a_bad_file_nothing_is_enqueued(system: System) -> None:
    with system.client() as client:
        before = client.get("/jobs").headers["x-pagination"]
        rows = "".join(f"{n},5,false,a,OPEN\r\n" for n in range(5000))
        answer = put(system, (HEADER + rows + "Total,5000\r\n").encode())
        assert answer.status_code == 400
        assert answer.json()["error"]["detail"].startswith("Line 5002 has 2 cells, and there are 5 columns.")
        assert client.get("/jobs").headers["x-pagination"] == before
