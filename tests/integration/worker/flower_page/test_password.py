"""Every route that Flower has is behind the password, however that is spelled; its health is for this machine alone."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from tests.integration.worker.flower_page.page import METHODS, PASSWORD, USER, routes, running
from tests.plain_http import http_client, http_get
from tests.ports import free_port


def test_every_route_needs_the_password(flower: tuple[str, int]) -> None:
    url, _ = flower
    others = ["", "/", "/tools", "/metrics", "/tools/flower", "/static/js/flower.js", "/ws", "//tools/flower/metrics"]
    others += ["/tools/flower/healthcheck/", "/tools/flower/HEALTHCHECK", "/tools/flower/static/js/flower.js"]
    with http_client() as client:
        for path in [*others, *(f"/tools/flower{route}" for route in routes())]:
            for method in METHODS:
                response = client.request(method, url + path)
                assert response.status_code == 401, (method, path)
                assert response.headers["www-authenticate"].startswith("Basic ")
        for wrong in (
            ("eve", "eve"),
            (USER, "a"),
            ("ops", PASSWORD),
            (USER, ""),
            ("", PASSWORD),
            (USER, PASSWORD[:-1]),
        ):
            refused = client.get(f"{url}/tools/flower/metrics", auth=wrong)
            assert (refused.status_code, "flower.user, flower.password" in refused.text) == (401, True)


def test_its_health_needs_no_password_from_this_machine_and_shows_nothing_else(flower: tuple[str, int]) -> None:
    response = http_get(f"{flower[0]}/tools/flower/healthcheck")
    assert (response.status_code, response.text) == (200, "OK")


def test_from_another_machine_its_health_needs_the_password_as_everything_does(
    environment: dict[str, str], tmp_path: Path
) -> None:
    address = next(
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family is socket.AF_INET and not one.address.startswith("127.")
    )
    own = {"CARECASE_FLOWER_HOST": "0.0.0.0", "CARECASE_FLOWER_WRONG_PASSWORDS_PER_MINUTE": "2"}
    with running({**environment, **own, "CARECASE_FLOWER_PORT": str(free_port())}, tmp_path) as (url, _):
        outside = f"http://{address}:{urlsplit(url).port}/tools/flower"
        assert http_get(f"{outside}/healthcheck").status_code == 401
        assert http_get(f"{outside}/healthcheck", auth=(USER, PASSWORD)).text == "OK"
        # whoever has been wrong too often is not told by the answer which password is right
        forged = [{"x-real-ip": f"192.0.2.{number}", "x-forwarded-for": f"192.0.2.{number}"} for number in range(4)]
        statuses = [http_get(outside, auth=(USER, "wrong"), headers=told).status_code for told in forged]
        assert statuses == [401, 401, 429, 429]
        refused = http_get(f"{outside}/metrics", auth=(USER, PASSWORD))
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert http_get(f"{outside}/metrics").status_code == 401, "who sends none is asked for it"
        one = http_get(f"{url}/tools/flower/metrics", auth=(USER, PASSWORD))
        assert "\ncarecase_flower_wrong_passwords_total 2.0\n" in one.text


def test_whoever_has_the_password_sees_the_pages(flower: tuple[str, int]) -> None:
    with http_client(auth=(USER, PASSWORD), base_url=flower[0]) as client:
        shown = client.get("/tools/flower", follow_redirects=True)
        assert (shown.status_code, shown.url.path) == (200, "/tools/flower/")
        for link in re.findall(r'(?:src|href)="(/[^"]+)"', shown.text):
            assert client.get(link).status_code == 200, link
        assert "flower_events" in client.get("/tools/flower/metrics").text
        assert client.get("/tools/flower/api/workers").status_code == 200
        assert client.get("/tools/flower/nowhere").status_code == 404
        assert client.post("/tools/flower/api/worker/shutdown/any").status_code == 403
        for own in ("/api/queues/length", "/api/workers?refresh=true", "/workers?refresh=true", "/broker"):
            assert client.get(f"/tools/flower{own}").status_code == 200


def test_the_password_is_not_in_the_list_of_processes(flower: tuple[str, int]) -> None:
    assert "quoted" not in " ".join(psutil.Process(flower[1]).cmdline())
