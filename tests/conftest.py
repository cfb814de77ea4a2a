"""Fixtures that every kind of test may use."""

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import count

import pytest
from tests.acceptance.system import System, running
from tests.elapsing import elapse as elapse_for
from tests.services import Services, services

from carecase_worker.jobs.store import JobStore

# a shell that runs tests in the background has them ignore Ctrl-C, and so would every command that they start
signal.signal(signal.SIGINT, signal.default_int_handler)

_prefixes = count(1)
_first_keys = count(1_000_000, 1_000_000)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A Valkey and a PostgreSQL for the whole run."""
    with services(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture
def store(servers: Services) -> Iterator[JobStore]:
    """A job store with nothing in it."""
    made = servers.store(f"t{next(_prefixes)}:", width=2, ring_again_seconds=2, lease_seconds=15)
    made.check()
    yield made
    made.close()


@pytest.fixture
def elapse(servers: Services, store: JobStore) -> Callable[[timedelta], None]:
    """Lets time go by for that job store."""
    return partial(elapse_for, servers.redis_url, store)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One `carecase up` for all tests that do not need one of their own."""
    with running(tmp_path_factory.mktemp("system")) as started:
        yield started
    assert started.process.returncode == 0, "up ends cleanly"


@pytest.fixture
def first_key() -> int:
    """The first of a million case keys that no other test uses."""
    return next(_first_keys)
