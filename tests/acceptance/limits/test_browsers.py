"""A browser runs only the service's own scripts, keeps no answer, and lets only pages of named origins call."""

import base64
import hashlib
import re

import httpx
from tests.acceptance.system import System
from tests.plain_http import http_client, http_get


def test_a_page_runs_only_what_came_with_it(guarded: System) -> None:
    url = guarded.stack["intake"]["url"]
    page = http_get(f"{url}/docs")
    policy = page.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert source.startswith("/"), "everything comes from here"
        assert http_get(url + source).headers["x-content-type-options"] == "nosniff"


def test_no_answer_about_cases_is_kept_on_the_way(guarded: System) -> None:
    with guarded.client() as client:
        for path in ("/jobs/x", "/jobs/x/result", "/nowhere", "/livez"):
            headers = client.get(path).headers
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_only_the_named_pages_may_call(guarded: System, system: System) -> None:
    def preflight(of: System, origin: str) -> httpx.Response:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "x-api-key,authorization,vbasoftware-database,content-type",
        }
        with http_client(base_url=of.stack["intake"]["url"]) as client:
            return client.options("/care-cases-batch", headers=headers)

    allowed = preflight(guarded, "https://desk.example")
    assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert "access-control-allow-origin" not in preflight(guarded, "https://elsewhere.example").headers
    assert "access-control-allow-origin" not in preflight(system, "https://desk.example").headers
