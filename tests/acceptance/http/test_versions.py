"""A client of HTTP/1.0 gets what others get, without chunks; other versions are refused."""

import gzip
import json
from collections.abc import Callable

import pytest
import zstandard
from tests.acceptance.http.by_the_byte import JSON, asked, connected, head, split
from tests.acceptance.system import System
from tests.builders import a_batch, a_case

DECODE: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


@pytest.mark.parametrize("encoding", DECODE)
@pytest.mark.parametrize("keep", ["Connection: close", "Connection: keep-alive", "X-None: of both"])
def test_an_old_client_gets_a_streamed_result_without_chunks(
    system: System, final_job: str, encoding: str, keep: str
) -> None:
    line = f"GET /jobs/{final_job}/result HTTP/1.0"
    status, headers, body = asked(system, head(system, line, f"Accept-Encoding: {encoding}", keep, without="host"))
    assert status == 207
    assert not {"transfer-encoding", "content-length"} & headers.keys()
    assert headers["connection"] == "close"
    assert headers.get("content-encoding", "identity") == encoding
    items = json.loads(DECODE[encoding](body))["data"]
    assert [item["id"][0]["value"] for item in items] == [9_100_000 + n for n in range(2500)]


def test_an_old_client_gets_everything_else_as_anybody_does(system: System, final_job: str) -> None:
    checked = a_batch(a_case(1), a_case(2))
    put = head(system, "PUT /care-cases-batch?validateOnly=true HTTP/1.0", JSON, f"Content-Length: {len(checked)}")
    status, headers, body = asked(system, put + checked)
    assert (status, headers.get("transfer-encoding")) == (207, None)
    assert [item["body"] for item in json.loads(body)["data"]] == ["Valid", "Valid"]

    status, headers, body = asked(system, head(system, f"GET /jobs/{final_job} HTTP/1.0"))
    assert (status, int(headers["content-length"])) == (200, len(body))
    assert json.loads(body)["data"]["jobId"] == final_job
    tag = headers["etag"]

    status, headers, body = asked(system, head(system, f"GET /jobs/{final_job} HTTP/1.0", f"If-None-Match: {tag}"))
    assert (status, body) == (304, b"")
    status, headers, body = asked(system, head(system, f"HEAD /jobs/{final_job}/result HTTP/1.0"))
    assert (status, headers.get("transfer-encoding"), body) == (207, None, b"")
    status, headers, body = asked(system, head(system, "GET /nowhere HTTP/1.0"))
    assert (status, json.loads(body)["error"]["status"]) == (404, 404)


def test_an_old_client_gets_no_interim_answer(system: System, first_key: int) -> None:
    sent = a_batch(a_case(first_key))
    lines = (JSON, f"Content-Length: {len(sent)}", "Expect: 100-continue")
    assert asked(system, head(system, "PUT /care-cases-batch HTTP/1.0", *lines) + sent)[0] == 202
    status, _, _ = asked(system, head(system, "PUT /care-cases-batch HTTP/1.1", *lines, "Connection: close") + sent)
    assert status == 100


@pytest.mark.parametrize("line", ["GET /livez HTTP/0.9", "GET /livez HTTP/2.0", "GET /livez HTTP/1.2", "GET /livez"])
def test_other_versions_of_http_are_refused(system: System, line: str) -> None:
    status, _, body = asked(system, f"{line}\r\nHost: x\r\n\r\n".encode())
    assert (status, json.loads(body)["error"]["status"]) == (400, 400)


def test_a_new_client_still_gets_chunks_and_keeps_its_connection(system: System, final_job: str) -> None:
    with connected(system) as connection:
        for _ in range(2):
            connection.sendall(head(system, f"GET /jobs/{final_job}/result HTTP/1.1", "Accept-Encoding: gzip"))
            received = b""
            while not received.endswith(b"\r\n0\r\n\r\n"):
                received += connection.recv(65536)
            assert split(received)[1]["transfer-encoding"] == "chunked"
