"""A session of tests, and fixtures that every kind of test may use."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as effort
from hypothesis.internal.conjecture import providers
from tests.acceptance.system import System, running
from tests.cpu_time import CpuTime
from tests.elapsing import elapse as elapse_for
from tests.kept import KeptDirectories
from tests.restored_logging import restored
from tests.scheduling import Scheduling, place_in_line
from tests.services import Services, services
from tests.stores import JOBS, Stores

# a shell that runs tests in the background has them ignore Ctrl-C, and so would every command that they start
signal.signal(signal.SIGINT, signal.default_int_handler)

# the same examples in every run, and none is judged by its time; --hypothesis-profile=explore tries others
_unhurried = effort(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None, print_blob=True)
effort.register_profile("steady", _unhurried, derandomize=True)
effort.register_profile("explore", _unhurried, derandomize=False)
effort.load_profile("steady")
# hypothesis takes constants of imported local modules as examples; which are imported depends on the files that share
# the process, so examples would differ from run to run (test_internals.py looks that it is there)
vars(providers)["is_local_module_file"] = lambda _: False

_own_place = pytest.StashKey[str]()
_prefixes = count(1)
_first_keys = count(1_000_000, 1_000_000)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the session a directory of its own: every session that starts shuts the usual one to PostgreSQL's user."""
    if config.option.basetemp is None:
        config.option.basetemp = config.stash[_own_place] = tempfile.mkdtemp(prefix="carecase-tests-")
    config.pluginmanager.register(CpuTime())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let no collection of garbage visit what is imported and collected: that is a million objects, which all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Leave that directory behind only for whoever wants to know why a test failed."""
    if exitstatus != pytest.ExitCode.OK:
        session.config.stash[_own_place] = ""


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove that directory once nothing runs in it."""
    if place := config.stash.get(_own_place, ""):
        shutil.rmtree(place, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where files run side by side, begin with those that take longest, so that no process ends long after the rest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=place_in_line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Deal out files as scheduling.py says, where whole files are dealt out."""
    return Scheduling(config, log) if config.option.dist == "loadfile" else None


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes that are no text by their argument: what is in them may differ from one process to the next."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Restore the logging configuration of this process after each test."""
    with restored():
        yield


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A Valkey and a PostgreSQL for the whole run."""
    with services(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="session")
def raw_redis(servers: Services) -> Iterator[redis.Redis]:
    """A connection of the tests' own, for what no operation of the job store shows or does."""
    with redis.Redis.from_url(servers.redis_url) as client:
        yield client


@pytest.fixture
def store(servers: Services) -> Iterator[Stores]:
    """A job store with nothing in it."""
    made = servers.store(f"t{next(_prefixes)}:", width=2, **JOBS)
    made.client.check()
    yield made
    made.client.close()


@pytest.fixture
def elapse(servers: Services, store: Stores) -> Callable[[timedelta], None]:
    """Lets time go by for that job store."""
    return partial(elapse_for, servers.redis_url, store)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One `carecase up` for all tests that do not need one of their own."""
    with running(tmp_path_factory.mktemp("system")) as started:
        yield started
    assert started.process.returncode == 0, "up ends cleanly"


@pytest.fixture(scope="session")
def kept(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> KeptDirectories:
    """Directories that stay for the next session."""
    assert pytestconfig.cache is not None
    return KeptDirectories(pytestconfig.cache.mkdir("kept"), tmp_path_factory.mktemp("kept"))


@pytest.fixture
def first_key() -> int:
    """The first of a million case keys that no other test uses."""
    return next(_first_keys)
