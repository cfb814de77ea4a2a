"""Fixtures of the job store's tests."""

from collections.abc import Iterator

import pytest
import redis
from tests.integration.store.beside import Beside
from tests.integration.store.clocked import Clocked
from tests.integration.store.listening import Play, player
from tests.services import Services, lone_valkey, redis_url


@pytest.fixture(scope="session")
def scripts(servers: Services) -> Iterator[Clocked]:
    """The scripts by a clock of their own, in a database of their own."""
    url = servers.redis_url.rpartition("/")[0] + "/7"
    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield Clocked(client)


@pytest.fixture
def beside(scripts: Clocked) -> Iterator[Beside]:
    """The scripts beside the model; both are compared, step by step, after the test."""
    both = Beside(scripts)
    yield both
    both.check()


@pytest.fixture
def play(servers: Services, raw_redis: redis.Redis) -> Play:
    """Runs a scene of a job store and of whoever listens to it."""
    return player(servers, raw_redis)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Valkey that these tests may spoil."""
    with lone_valkey(tmp_path_factory.mktemp("spoilt") / "valkey") as port:
        yield redis_url(port)
