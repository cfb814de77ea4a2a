"""Fixtures: a Flower in a world that has something to say to Flower's own command."""

from collections.abc import Iterator

import pytest
from tests.integration.worker.flower_page.page import PASSWORD, USER, running
from tests.ports import free_port
from tests.services import Services

from carecase_worker.settings.loading import process_environment


@pytest.fixture(scope="package")
def environment(servers: Services) -> dict[str, str]:
    """The settings of a Flower, in a world that has something to say to Flower's own command."""
    settings = {
        "REDIS_URL": servers.flower_redis_url,
        "FLOWER_PORT": str(free_port()),
        "FLOWER_USER": USER,
        "FLOWER_PASSWORD": PASSWORD,
        "FLOWER_URL_PREFIX": "/tools/flower/",
        "FLOWER_JOB_URL": "https://intake.example/app#/jobs/{job_id}",
        "FLOWER_WRONG_PASSWORDS_PER_MINUTE": "100000",
    }
    own = {"FLOWER_PORT": "tcp://10.0.0.1:5555", "FLOWER_BASIC_AUTH": "eve:eve", "FLOWER_READ_ONLY": "false"}
    return {**process_environment(), **own, **{f"CARECASE_{name}": value for name, value in settings.items()}}


@pytest.fixture(scope="package")
def flower(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[str, int]]":
    """The address and the process id of a Flower."""
    place = tmp_path_factory.mktemp("flower")
    (place / "flowerconfig.py").write_text("basic_auth = ['eve:eve']\nread_only = False\n")
    with running(environment, place) as url:
        yield url
