"""A file of rows is a batch: by its header row, or by a mapping of the client's; a bad file is refused whole."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.cases.outcomes import CREATED, Kind, Outcome
from carecase_worker.errors import SettingsError
from carecase_worker.intake.batches.mappings import Mappings
from carecase_worker.settings.sections.access import ClientSettings

MAPPINGS = {
    "referrals": {
        "columns": {"Case No": "case_Key", "DNC": "do_Not_Contact", "Status": "case_Status"},
        "constants": {"carePlan_Key": 5},
        "delimiter": ";",
        "true_tokens": ["Y"],
        "false_tokens": ["N"],
    },
    "layout": {
        "fixed": {"case_Key": "1-6", "do_Not_Contact": "7-11"},
        "constants": {"carePlan_Key": 5},
    },
    "export": {
        "columns": ["case_Key", "carePlan_Key", "do_Not_Contact"],
        "delimiter": "\t",
        "encoding": "windows-1252",
        "skipped_lines": 2,
        "skipped_last_lines": 1,
    },
}
PLAIN = b"case_Key,carePlan_Key,do_Not_Contact,case_Status\r\n1,5,false,OPEN\r\n\r\nx,5,false,far too long\r\n"
PARTNERS = b"Case No;DNC;Status\n1;N;OPEN\n"


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "files:", clients={"ann": {"files": MAPPINGS}}) as made:
        yield made


def put(intake: Intake, body: bytes, kind: str = "text/csv", name: str = "ann", **query: str) -> httpx.Response:
    with intake.client(name, content_type=kind) as client:
        return client.put("/care-cases-batch", content=body, params=query, headers={"content-type": kind})


def validated(intake: Intake, body: bytes, kind: str = "text/csv", accept: str = "*/*", **query: str) -> httpx.Response:
    with intake.client() as client:
        headers = {"content-type": kind, "accept": accept}
        response = client.put(
            "/care-cases-batch", content=body, params={"validateOnly": "true", **query}, headers=headers
        )
    assert response.status_code == 207, response.text
    return response


def rows_of(response: httpx.Response) -> list[tuple[Any, ...]]:
    return [(one["line"], one["id"][0]["value"], one["status"], one["body"]) for one in response.json()["data"]]


FAULTS = "case_Key: must be an integer; case_Status: must have at most 8 characters"


def test_each_row_is_an_item_with_its_line(intake: Intake) -> None:
    assert rows_of(validated(intake, PLAIN)) == [(2, 1, 200, "Valid"), (4, None, 422, FAULTS)]
    tabbed = PLAIN.replace(b",", b"\t")
    assert rows_of(validated(intake, tabbed, "text/tab-separated-values; charset=UTF-8")) == rows_of(
        validated(intake, PLAIN)
    )
    for delimiter in b";|":
        assert rows_of(validated(intake, PLAIN.replace(b",", bytes([delimiter])))) == rows_of(validated(intake, PLAIN))


def test_the_acknowledgement_is_csv_for_who_wants_that(intake: Intake) -> None:
    response = validated(intake, PLAIN, accept="text/csv, application/json;q=0.5")
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    rows = list(csv.reader(io.StringIO(response.text, newline="")))
    assert rows == [
        ["index", "case_Key", "status", "body", "line", "outcome", "field", "rule"],
        ["0", "1", "200", "Valid", "2", "valid", "", ""],
        ["1", "", "422", FAULTS, "4", "failed", "case_Key", "must be an integer"],
    ]
    of_json = validated(intake, b'[{"case_Key": 1}]', "application/json", accept="text/csv")
    assert of_json.text.splitlines()[0] == "index,case_Key,status,body"


def test_a_mapping_is_named_in_the_query(intake: Intake) -> None:
    assert rows_of(validated(intake, PARTNERS, mapping="referrals")) == [(2, 1, 200, "Valid")]
    assert rows_of(validated(intake, b"000007false\n", "text/plain", mapping="layout")) == [(1, 7, 200, "Valid")]
    latin = PARTNERS.replace(b"OPEN", "Ü".encode("cp1252"))
    assert rows_of(validated(intake, latin, "text/csv; charset=windows-1252", mapping="referrals"))[0][2] == 200


def test_a_client_is_told_its_own_mappings_and_the_shipped_one(intake: Intake) -> None:
    shipped = {"name": "fhir-r4-episode-of-care", "mediaType": "application/fhir+ndjson", "encoding": "utf-8",
               "delimiter": None, "hasHeader": False, "skippedLines": 0, "skippedLastLines": 0}  # fmt: skip
    with intake.client() as ann, intake.client("bob") as bob:
        response = ann.get("/mappings")
        assert response.headers["content-type"] == "application/json"
        assert response.json()["data"] == [
            shipped | {"name": "referrals", "mediaType": "text/csv", "delimiter": ";", "hasHeader": True},
            shipped | {"name": "layout", "mediaType": "text/plain"},
            shipped | {"name": "export", "mediaType": "text/tab-separated-values", "delimiter": "\t",
                       "encoding": "windows-1252", "skippedLines": 2, "skippedLastLines": 1},
            shipped,
        ]  # fmt: skip
        assert bob.get("/mappings").json()["data"] == [shipped]
    with intake.client(authorization="Bearer none") as nobody:
        assert nobody.get("/mappings").status_code == 401


def test_episodes_of_fhir_are_cases_by_a_mapping_that_is_shipped(intake: Intake) -> None:
    body = b'{"resourceType":"EpisodeOfCare","id":"7","status":"active"}\n\n'
    body += b'{"resourceType":"EpisodeOfCare","status":"x"}\n'
    with intake.client() as client:
        response = client.put(
            "/care-plans/5/cases-batch",
            content=body,
            params={"validateOnly": "true", "mapping": "fhir-r4-episode-of-care"},
            headers={"content-type": "application/fhir+ndjson"},
        )
    assert rows_of(response) == [(1, 7, 200, "Valid"), (3, None, 422, "case_Key: is required")]


REFUSED: dict[str, tuple[int, str, str, bytes, str, dict[str, str]]] = {
    "no such mapping": (422, "no-mapping", "did you mean referrals?", PARTNERS, "text/csv", {"mapping": "referral"}),
    "another client's": (422, "no-mapping", "no mapping of that name", PARTNERS, "bob", {"mapping": "referrals"}),
    "for JSON": (422, "no-mapping", "text/csv", b"[{}]", "application/json", {"mapping": "referrals"}),
    "FHIR as rows": (422, "no-mapping", "fhir+ndjson", PLAIN, "text/csv", {"mapping": "fhir-r4-episode-of-care"}),
    "an empty name": (400, "bad-parameter", "mapping must have 1 to 64", PARTNERS, "text/csv", {"mapping": ""}),
    "lines of no layout": (415, "media-type", "by a mapping", PARTNERS, "text/plain", {"mapping": "referrals"}),
    "no mapping": (400, "bad-file", "Line 1 is not a header row", PARTNERS, "text/csv", {}),
    "a ragged row": (400, "bad-file", "Line 3 has 1 cell", PARTNERS + b"2\n", "text/csv", {"mapping": "referrals"}),
    "a charset": (415, "media-type", "windows-1252", PLAIN, "text/csv; charset=x", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_whole(intake: Intake, name: str) -> None:
    status, kind, words, body, media_type, query = REFUSED[name]
    who = "bob" if media_type == "bob" else "ann"
    response = put(intake, body, "text/csv" if media_type == "bob" else media_type, who, **query)
    problem = response.json()["error"]
    assert (response.status_code, problem["type"]) == (status, f"urn:carecase:problem:{kind}"), response.text
    assert words in problem["detail"]
    with intake.client(who) as client:
        jobs = client.get("/jobs")
    assert jobs.json()["data"] == [], jobs.text


def test_the_same_key_with_another_mapping_is_another_batch(servers: Services) -> None:
    files = dict.fromkeys(("one", "other"), MAPPINGS["referrals"])
    with (
        an_intake(servers.redis_url, "mapped:", clients={"ann": {"files": files}}) as intake,
        intake.client() as client,
    ):
        headers = {"content-type": "text/csv", "Idempotency-Key": "k"}

        def sent(mapping: str) -> httpx.Response:
            return client.put("/care-cases-batch", content=PARTNERS, params={"mapping": mapping}, headers=headers)

        first, again, other = sent("one"), sent("one"), sent("other")
        assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
        assert again.json()["job"]["jobId"] == first.json()["job"]["jobId"]


def test_a_result_of_json_is_csv_of_the_contracts_four_columns(intake: Intake) -> None:
    job_id = intake.send({"case_Key": 1}, {"case_Key": 2})
    intake.finish(job_id, (CREATED, Outcome(Kind.CONFLICT, "=evil")))
    with intake.client(accept="text/csv") as client:
        response = client.get(f"/jobs/{job_id}/result")
        page = client.get(f"/jobs/{job_id}/result", params={"outcome": "failed"})
        assert client.get("/jobs").status_code == 406
        client.delete(f"/jobs/{job_id}", params={"purge": "true"})
    assert (response.status_code, response.headers["vary"]) == (207, "Accept, Accept-Encoding")
    assert response.text == "index,case_Key,status,body\r\n0,1,201,Created\r\n1,2,409,'=evil\r\n"
    assert page.text == "index,case_Key,status,body\r\n1,2,409,'=evil\r\n"


def test_every_mistake_in_a_mapping_is_reported_at_the_start() -> None:
    files = {"one": {"columns": {"a": "case_Kay"}}, "two": {"date_formats": ["%d"]}}
    settings = ClientSettings.model_validate({"files": files})
    with pytest.raises(SettingsError) as raised:
        Mappings.of({"ann": settings})
    lines = str(raised.value).splitlines()
    assert lines[0].startswith(
        "clients.ann.files.one.columns: case_Kay is not a field of a case; did you mean case_Key?"
    )
    assert lines[-1].startswith("clients.ann.files.two.date_formats: %d must have a year")
