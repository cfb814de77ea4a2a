"""The issuer's keys over HTTP: read, rotated, and never waited for when the issuer hangs."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.builders import a_jwks, a_key_pair

from carecase_worker.clock import monotonic
from carecase_worker.errors import KeysUnavailable
from carecase_worker.intake.access.jwks import Jwks, jwks_of
from carecase_worker.settings.sections.access import JwtSettings

OLD, NEW = a_key_pair("RS256"), a_key_pair("ES256")
NO_HTTP = 0
"""The status of an answer that is none of HTTP."""


@dataclass
class Issuer:
    """What the issuer's server answers; without `document` it accepts and says nothing."""

    url: str = ""
    document: bytes | None = None
    status: int = 200
    asked: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def jwks(self) -> Jwks:
        made = jwks_of(
            JwtSettings.model_validate(
                {"algorithms": ("RS256", "ES256"), "jwks_url": self.url, "jwks_refetch_seconds": 0.001}
            )
        )
        assert made is not None
        return made


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    one = Issuer()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.asked += 1
            if one.document is None:
                one.ended.wait(120)
                return
            if one.status == NO_HTTP:
                self.wfile.write(one.document)
                return
            self.send_response(one.status)
            self.send_header("Location", f"{one.url}/elsewhere")
            self.send_header("Content-Length", str(len(one.document)))
            self.end_headers()
            self.wfile.write(one.document)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    one.url = f"http://127.0.0.1:{server.server_address[1]}/keys"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield one
    one.ended.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("source", ["jwks_file", "jwks_url"])
def test_a_withdrawn_key_is_gone_once_the_keys_are_as_old_as_the_settings_say(
    issuer: Issuer, tmp_path: Path, source: str
) -> None:
    file = tmp_path / "issuer.json"
    place = {"jwks_file": file, "jwks_url": issuer.url}[source]
    jwt = {source: place, "algorithms": ("RS256", "ES256"), "jwks_refresh_seconds": 0.001, "jwks_refetch_seconds": 300}
    issuer.document = a_jwks(old=OLD)
    file.write_bytes(issuer.document)
    keys = jwks_of(JwtSettings.model_validate(jwt))
    assert keys is not None
    assert keys.find("old") is not None
    issuer.document = a_jwks(new=NEW)
    file.write_bytes(issuer.document)
    eventually(lambda: keys.find("old") is None, what="the withdrawn key is gone")


def test_keys_are_read_and_rotated(issuer: Issuer) -> None:
    issuer.document = a_jwks(old=OLD)
    keys = issuer.jwks()
    assert keys.find("old") is not None
    issuer.document = a_jwks(old=OLD, new=NEW)
    assert keys.find("new") is not None
    assert issuer.asked == 2


def test_an_issuer_that_hangs_delays_nobody_who_has_a_known_key(issuer: Issuer) -> None:
    issuer.document = a_jwks(old=OLD)
    keys = issuer.jwks()
    assert keys.find("old") is not None
    issuer.document = None
    began = monotonic()
    assert keys.find("made up") is None
    assert all(keys.find("old") is not None for _ in range(100))
    assert monotonic() - began < 60, "the patience is 3 s, and without it the server takes two minutes"
    issuer.document = a_jwks(new=NEW)
    eventually(lambda: keys.find("new"), 60, what="the answer that hangs is given up, and asked for anew")


@pytest.mark.parametrize(("size", "is_read"), [(2**20 - 1, True), (2**20, True), (2**20 + 1, False)])
def test_an_answer_may_have_a_mebibyte(issuer: Issuer, size: int, is_read: bool) -> None:
    issuer.document = a_jwks(old=OLD).ljust(size)
    if is_read:
        assert issuer.jwks().find("old") is not None
    else:
        with pytest.raises(KeysUnavailable):
            issuer.jwks().find("old")


def test_a_file_is_read_again_as_an_address_is(tmp_path: Path) -> None:
    file = tmp_path / "issuer.json"
    file.write_bytes(a_jwks(old=OLD))
    keys = jwks_of(JwtSettings.model_validate({"jwks_file": file, "jwks_refetch_seconds": 0.001}))
    assert keys is not None
    assert keys.find("old") is not None
    file.write_bytes(a_jwks(new=NEW))
    eventually(lambda: keys.find("new"), 30)
    assert keys.find("old") is None


@pytest.mark.parametrize(
    ("document", "status"),
    [(b"no keys", 200), (a_jwks(old=OLD), 500), (a_jwks(old=OLD), 302), (b"220 smtp.example.org\r\n", NO_HTTP)],
)
def test_what_is_no_answer_gives_no_keys(issuer: Issuer, document: bytes, status: int) -> None:
    issuer.document, issuer.status = document, status
    with pytest.raises(KeysUnavailable), capture_logs() as lines:
        issuer.jwks().find("old")
    assert issuer.asked == 1, "a redirection is not followed"
    assert [line["event"] for line in lines] == ["the keys of the tokens' issuer cannot be read"]
