"""A result, whole or in part, as a client reads it."""

import gzip
import json
from typing import Any

import httpx
import pytest
import zstandard
from tests.acceptance.system import System
from tests.builders import a_case

BAD_EVERY = 500


@pytest.fixture(scope="module")
def result(system: System) -> tuple[str, list[dict[str, Any]]]:
    """The path of a result of several chunks in which every 500th item failed, and its items with their places."""
    first_key = 700_000_000
    cases = [a_case(first_key + n, case_Status="far too long" if n % BAD_EVERY == 7 else "OPEN") for n in range(2_600)]
    job_id = system.send(cases)
    items = [{**item, "index": index} for index, item in enumerate(system.result(job_id))]
    assert [item["index"] for item in items if item["status"] == 422] == [7, 507, 1007, 1507, 2007, 2507]
    return f"/jobs/{job_id}/result", items


def read(system: System, path: str, **query: str | int) -> httpx.Response:
    with system.client() as client:
        response = client.get(path, params=query)
    assert response.status_code == 207, response.text
    return response


def test_a_page_is_a_part_of_the_whole(system: System, result: tuple[str, list[dict[str, Any]]]) -> None:
    path, items = result
    for page, size in ((1, 1), (1, 1000), (2, 700), (3, 1000), (26, 100)):
        response = read(system, path, page=page, pageSize=size)
        assert response.json()["data"] == items[(page - 1) * size : page * size]
        assert response.headers["x-pagination"] == json.dumps(
            {"TotalCount": 2600, "TotalPages": -(-2600 // size), "CurrentPage": page, "PageSize": size},
            separators=(",", ":"),
        )
    beyond = read(system, path, page=27)
    assert beyond.json()["data"] == []
    assert json.loads(beyond.headers["x-pagination"])["PageSize"] == 100


def test_without_a_page_it_is_the_whole_document_as_published(
    system: System, result: tuple[str, list[dict[str, Any]]]
) -> None:
    path, items = result
    response = read(system, path)
    assert "x-pagination" not in response.headers
    assert response.json()["data"] == [{name: item[name] for name in ("id", "status", "body")} for item in items]


def test_an_outcome_chooses_items_and_goes_together_with_pages(
    system: System, result: tuple[str, list[dict[str, Any]]]
) -> None:
    path, items = result
    failed = [item for item in items if item["status"] == 422]
    assert read(system, path, outcome="failed").json()["data"] == failed
    page = read(system, path, outcome="failed", page=2, pageSize=4)
    assert page.json()["data"] == failed[4:]
    assert json.loads(page.headers["x-pagination"]) == {
        "TotalCount": 6,
        "TotalPages": 2,
        "CurrentPage": 2,
        "PageSize": 4,
    }
    created = read(system, path, outcome="created").json()["data"]
    assert [item["index"] for item in created] == [item["index"] for item in items if item["status"] != 422]
    for nothing in ("updated", "superseded", "cancelled"):
        assert read(system, path, outcome=nothing).json()["data"] == []


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=one", "page=1.0", "page=", "page=99999999999", "page=1&pageSize=0", "pageSize=1001",
     "page=1&pageSize=many", "outcome=good", "outcome="],
)  # fmt: skip
def test_what_is_no_page_and_no_outcome_is_refused(
    system: System, result: tuple[str, list[dict[str, Any]]], query: str
) -> None:
    with system.client() as client:
        response = client.get(f"{result[0]}?{query}")
    assert response.status_code == 400
    assert "parameter" in response.json()["error"]["detail"]


def test_a_result_comes_compressed_where_the_client_takes_it(
    system: System, result: tuple[str, list[dict[str, Any]]]
) -> None:
    path, _ = result
    with system.client() as client:

        def raw(accept: str) -> tuple[httpx.Response, bytes]:
            with client.stream("GET", path, headers={"Accept-Encoding": accept}) as response:
                return response, b"".join(response.iter_raw())

        plain, whole = raw("identity")
        assert "content-encoding" not in plain.headers
        zipped, packed = raw("gzip")
        assert (zipped.headers["content-encoding"], gzip.decompress(packed)) == ("gzip", whole)
        better, packed = raw("gzip, zstd")
        assert better.headers["content-encoding"] == "zstd"
        assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == whole
        assert len(packed) < len(whole) / 4
        assert "Accept-Encoding" in better.headers["vary"]


def test_the_type_is_the_one_that_is_accepted_and_the_bytes_are_the_same(
    system: System, result: tuple[str, list[dict[str, Any]]]
) -> None:
    path = result[0].removesuffix("/result")
    with system.client() as client:
        responses = [client.get(path, headers={"Accept": kind}) for kind in ("text/plain", "text/json", "*/*")]
        published = client.get(path, headers={"Accept": "text/plain, application/json, text/json"})
        refused = [
            client.get(path, headers={"Accept": "text/html"}),
            client.put("/care-cases-batch", json=[a_case(1)], headers={"Accept": "application/xml"}),
        ]
    kinds = [response.headers["content-type"] for response in (*responses, published)]
    assert kinds == ["text/plain; charset=utf-8", "text/json; charset=utf-8", "application/json", "application/json"]
    assert len({response.content for response in responses}) == 1
    for response in refused:
        assert response.status_code == response.json()["error"]["status"] == 406
        assert response.json()["debug"]["activityID"]
