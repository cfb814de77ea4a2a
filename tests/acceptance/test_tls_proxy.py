"""The proxy of the compose file's profile `tls`, with its configuration as it is, before an intake."""

import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.acceptance.lone_intake import OTHER, Intake, an_intake
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.needs import need
from tests.ports import free_port
from tests.services import Services

CONFIG = Path(__file__).parents[2] / "config" / "Caddyfile"


@pytest.fixture(scope="module")
def intake(servers: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    with an_intake(tmp_path_factory.mktemp("behind"), servers, "") as started:
        yield started


@pytest.fixture(scope="module")
def proxied(intake: Intake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client that comes from another address by the proxy, and trusts the authority that the proxy has made."""
    program, place, port = need("caddy", "Debian's caddy"), tmp_path_factory.mktemp("caddy"), free_port()
    own = {"SITE": f"https://localhost:{port}", "INTAKE": f"127.0.0.1:{intake.port}", "HOME": str(place)}
    places = {"XDG_DATA_HOME": str(place / "data"), "XDG_CONFIG_HOME": str(place / "config")}
    command = [program, "run", "--config", str(CONFIG), "--adapter", "caddyfile"]
    with (place / "caddy.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **own, **places}, stdout=log, stderr=log)
    try:
        authority = place / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        eventually(
            lambda: authority.exists() and "END CERTIFICATE" in authority.read_text(), 60, "the authority is there"
        )
        trusted = ssl.create_default_context(cafile=str(authority))
        with intake.client(OTHER) as direct:
            transport = httpx.HTTPTransport(verify=trusted, local_address=OTHER)
            url = f"https://localhost:{port}"
            with httpx.Client(base_url=url, headers=direct.headers, transport=transport, timeout=60) as client:
                eventually(lambda: reached(client), 60, "the proxy listens")
                yield client
    finally:
        process.terminate()
        assert process.wait(60) == 0, (place / "caddy.log").read_text()[-3000:]


def reached(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_a_batch_goes_by_it_and_the_intake_knows_from_where(proxied: httpx.Client, intake: Intake) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Prefix": "/elsewhere"}
    accepted = proxied.put("/care-cases-batch", json=[a_case(1)], headers=forged)
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()["job"]["jobId"]
    assert accepted.headers["location"] == f"/jobs/{job}"
    assert intake.log_record(job_id=job, method="PUT")["address"] == OTHER


def test_it_asks_browsers_for_tls_and_names_no_program(proxied: httpx.Client) -> None:
    response = proxied.get("/livez")
    assert response.headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in response.headers


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics"])
def test_what_names_the_databases_is_not_for_everybody(proxied: httpx.Client, path: str) -> None:
    response = proxied.get(path)
    assert response.status_code in (400, 401, 403, 404)
    assert "carecase_" not in response.text


def test_it_speaks_nothing_older_than_tls_1_2(proxied: httpx.Client) -> None:
    port = httpx.URL(str(proxied.base_url)).port
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError, match="alert protocol version"):
        httpx.get(f"https://localhost:{port}/livez", verify=old, timeout=60)
