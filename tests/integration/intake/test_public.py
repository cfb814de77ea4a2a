"""What anybody may ask for: it costs bytes that are kept, and takes no thread that clients' requests need."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fastapi_offline
import httpx
import pytest
import zstandard
from tests.integration.intake.intakes import Intake, an_intake
from tests.plain_http import http_client
from tests.services import Services

from carecase_worker.intake.http.responses import static_document

DECODE: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "zstd": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
}
FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
TYPES = ("text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/png")


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "public:") as started:
        yield started


def raw(intake: Intake, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its content as it was sent."""
    with httpx.stream("GET", intake.url + path, headers=headers, timeout=60) as response:
        return response, b"".join(response.iter_raw())


@pytest.mark.parametrize("encoding", DECODE)
@pytest.mark.parametrize(("name", "media_type"), list(zip(FILES, TYPES, strict=True)))
def test_the_pages_files_come_whole_in_each_encoding(intake: Intake, name: str, media_type: str, encoding: str) -> None:
    response, content = raw(intake, f"/static-offline-docs/{name}", **{"accept-encoding": encoding})
    place = Path(fastapi_offline.__file__).parent / "static" / name
    assert DECODE[encoding](content) == place.read_bytes()
    headers = {
        name: response.headers.get(name) for name in ("content-type", "content-encoding", "content-length", "vary")
    }
    coded = None if encoding == "identity" else encoding
    length = str(len(content))
    assert headers == {
        "content-type": media_type, "content-encoding": coded, "content-length": length, "vary": "Accept-Encoding",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2Fcore.py", "x", ""])
def test_of_those_files_only_the_pages_are_there(intake: Intake, name: str) -> None:
    assert raw(intake, f"/static-offline-docs/{name}")[0].status_code == 404


@pytest.mark.parametrize("path", ["/openapi.json", f"/static-offline-docs/{FILES[0]}"])
def test_who_has_a_document_gets_no_second_one(intake: Intake, path: str) -> None:
    tags = {}
    for encoding in DECODE:
        tag = tags[encoding] = raw(intake, path, **{"accept-encoding": encoding})[0].headers["etag"]
        for if_none_match, status in (
            (tag, 304),
            (f'"x", W/{tag}', 304),
            ("*", 304),
            ('"x"', 200),
            (tag.strip('"'), 200),
        ):
            response, content = raw(intake, path, **{"accept-encoding": encoding, "if-none-match": if_none_match})
            assert (response.status_code, response.headers["etag"], bool(content)) == (status, tag, status == 200)
    assert len(set(tags.values())) == len(DECODE), "a tag is of one representation"


def test_the_description_is_the_same_document_in_each_encoding_and_under_each_prefix(servers: Services) -> None:
    proxied = {"trusted_proxies": ["127.0.0.1"], "root_path": "/own"}
    with an_intake(servers.redis_url, "prefixes:", intake=proxied) as intake:
        plain = json.loads(raw(intake, "/openapi.json", **{"accept-encoding": "identity"})[1])
        assert plain["servers"] == [{"url": "/own"}]
        for prefix in ("/edge", "/other"):
            for encoding, decode in DECODE.items():
                headers = {"x-forwarded-prefix": prefix, "accept-encoding": encoding}
                _, content = raw(intake, "/openapi.json", **headers)
                assert json.loads(decode(content)) == {**plain, "servers": [{"url": prefix}, {"url": "/own"}]}


@pytest.mark.parametrize(
    "path",
    [
        "/openapi.json",
        "/app",
        "/app/main.js",
        "/app/settings.json",
        *(f"/static-offline-docs/{name}" for name in FILES),
    ],
)
def test_a_document_is_compressed_once_and_not_for_each_answer(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    contents = {encoding: raw(intake, path, **{"accept-encoding": encoding})[1] for encoding in DECODE}
    monkeypatch.setattr(static_document, "compressed", lambda *_: iter([b"compressed anew"]))
    for encoding, content in contents.items():
        response, again = raw(intake, path, **{"accept-encoding": encoding})
        assert (response.status_code, again) == (200, content)


def test_documents_cost_no_more_than_an_answer_of_some_bytes(intake: Intake) -> None:
    def cost_s(path: str) -> float:
        with http_client(base_url=intake.url, headers={"accept-encoding": "zstd"}) as client:
            client.get(path)
            tag = client.get(path).headers.get("etag", "")
            began = time.process_time()
            for _ in range(50):
                assert client.get(path, headers={"if-none-match": tag}).status_code in (200, 304)
            return (time.process_time() - began) / 50

    usual = cost_s("/livez")
    for path in ("/openapi.json", "/metrics", *(f"/static-offline-docs/{name}" for name in FILES)):
        assert cost_s(path) < usual + 0.005, path  # to write the description anew takes ten times that
