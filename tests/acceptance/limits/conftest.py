"""Fixtures: an intake that has the rate of the contract, and does not wait for long."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests.acceptance.limits.wire import CONFIG, OLD
from tests.acceptance.system import System, intake_beside
from tests.builders import a_jwks


@pytest.fixture(scope="session")
def guarded(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An intake with the rate of the contract and short patience."""
    place = tmp_path_factory.mktemp("guarded")
    (place / "issuer.json").write_bytes(a_jwks(old=OLD))
    with intake_beside(system, place, CONFIG) as started:
        yield started


@pytest.fixture
def connection(guarded: System) -> Iterator[socket.socket]:
    address = urlsplit(guarded.stack["intake"]["url"])
    with socket.create_connection((address.hostname, address.port), timeout=60) as opened:
        yield opened
