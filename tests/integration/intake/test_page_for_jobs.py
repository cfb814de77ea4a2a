"""The files of the page for jobs: public, kept by browsers, under a policy, at whatever prefix, and off if so set."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from tests.integration.intake.intakes import Intake, an_intake
from tests.plain_http import http_client, http_get
from tests.services import Services

from carecase_worker.intake.page import routes

FILES = Path(routes.__file__).parent / "static"
NAMES = sorted(path.relative_to(FILES).as_posix() for path in FILES.rglob("*") if path.is_file())
LEADS_BACK = "signed-in.html"
"""The document to which a provider leads people back: no other one refers to it."""
REFERENCE = re.compile(r"""(?:href|src)="([\w/-]+\.\w+)"|(?:from|import) ?\(?"(\.[^"]+)\"""")


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "page:") as started:
        yield started


def policy_of(response: httpx.Response) -> dict[str, str]:
    parts = response.headers["content-security-policy"].split(";")
    return dict(part.strip().partition(" ")[::2] for part in parts)


@pytest.mark.parametrize("path", ["", *(f"/{name}" for name in NAMES if name != "index.html"), "/settings.json"])
def test_each_file_may_run_and_load_nothing_but_files_from_here(intake: Intake, path: str) -> None:
    response = http_get(f"{intake.url}/app{path}")
    assert response.status_code == 200
    policy = policy_of(response)
    assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("form-action") == "'none'"
    assert policy.pop("frame-ancestors") == policy.pop("trusted-types") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert policy == dict.fromkeys(("script-src", "style-src", "img-src", "connect-src"), "'self'")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=|https?://(?=\w)(?!www\.w3\.org/2000/svg)", response.text)


@pytest.mark.parametrize("path", ["", "/main.js", "/css/foundation.css", "/settings.json"])
def test_a_browser_keeps_it_and_asks_each_time_if_it_is_still_the_same(intake: Intake, path: str) -> None:
    url = f"{intake.url}/app{path}"
    with http_client() as client:
        for encoding in ("zstd", "gzip", "identity"):
            first = client.get(url, headers={"accept-encoding": encoding})
            assert first.headers["cache-control"] == "no-cache"
            assert first.headers.get("content-encoding", "identity") == encoding
            assert not first.headers["etag"].startswith("W/")
            again = client.get(url, headers={"accept-encoding": encoding, "if-none-match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            for name in ("cache-control", "content-security-policy"):  # a browser takes them from the 304
                assert again.headers[name] == first.headers[name]


def test_all_that_it_refers_to_is_there(intake: Intake) -> None:
    seen, open_ones = set[str](), [f"{intake.url}/app", f"{intake.url}/app/{LEADS_BACK}"]
    with http_client() as client:
        while open_ones:
            url = open_ones.pop()
            response = client.get(url)
            assert response.status_code == 200, url
            seen.add(url)
            found = (urljoin(url, one or other) for one, other in REFERENCE.findall(response.text))
            open_ones += [other for other in found if other not in seen]
    assert len(seen) == len(NAMES), "no file is left over"


@pytest.mark.parametrize("path", ["/index.html", "/nothing.js", "/%2e%2e/routes.py", "/css", "//main.js"])
def test_nothing_else_is_there(intake: Intake, path: str) -> None:
    assert http_get(f"{intake.url}/app{path}").status_code == 404


def test_with_a_slash_at_its_end_it_leads_to_the_page_under_whatever_prefix(intake: Intake) -> None:
    response = http_get(f"{intake.url}/app/")
    assert (response.status_code, response.headers["location"]) == (308, "../app")


def test_it_says_which_credentials_it_needs_and_can_be_turned_off(servers: Services) -> None:
    with an_intake(servers.redis_url, "either:", intake={"require": "either"}) as intake:
        assert http_get(f"{intake.url}/app/settings.json").json() == {"require": "either", "oidc": None}
    with an_intake(servers.redis_url, "off:", intake={"app_page": False}) as intake:
        for path in ("/app", "/app/", "/app/main.js", "/app/settings.json"):
            assert http_get(intake.url + path).status_code == 404


def test_the_page_signs_in_where_and_for_what_the_settings_say(servers: Services) -> None:
    issuer = "https://login.example"
    jwt = {"algorithms": ["RS256"], "jwks_url": f"{issuer}/keys", "issuer": issuer, "audience": "care"}
    places = {f"{name}_endpoint": f"{issuer}/{name}" for name in ("authorization", "token", "end_session")}
    oidc = {"issuer": issuer, "client_id": "page", "audience": "care", "scopes": ["openid", "care"], **places}
    with an_intake(servers.redis_url, "oidc:", jwt=jwt, oidc=oidc) as intake:
        sign_in = http_get(f"{intake.url}/app/settings.json").json()["oidc"]
    assert (sign_in["audience"], sign_in["scope"]) == ("care", "openid care")
    assert sign_in["endpoints"] == {
        "authorization": f"{issuer}/authorization",
        "token": f"{issuer}/token",
        "endSession": f"{issuer}/end_session",
    }
