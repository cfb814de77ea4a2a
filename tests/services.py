"""Real servers for tests, from the same wheels and with the same settings as `carecase up`."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.stores import Stores

from carecase_worker.clock import system_sleep
from carecase_worker.embedded.children import Children
from carecase_worker.embedded.servers import postgres, valkey
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.targets.schema.migration import create_database

PASSWORDS = {"default": "secret", "carecase": "own", "flower": "lesser"}


@dataclass(frozen=True)
class Services:
    """The URLs of a Valkey and of a PostgreSQL with an empty database `demo`."""

    redis_url: str
    app_redis_url: str
    flower_redis_url: str
    postgres_url: str

    def store(self, prefix: str, **jobs: object) -> Stores:
        """A job store under a prefix of its own; `jobs` are settings of `[jobs]`."""
        redis = RedisSettings.model_validate({"url": self.redis_url, "prefix": prefix})
        return Stores(redis, JobSettings.model_validate(jobs))


def redis_url(port: int, user: str = "default") -> str:
    """The URL of a Valkey of these tests for one of its users."""
    return f"redis://{user}:{PASSWORDS[user]}@127.0.0.1:{port}/0"


@contextmanager
def lone_valkey(place: Path) -> Iterator[int]:
    """Start a Valkey that nobody else uses; its port. Stop it at the end."""
    port, children = free_port(), Children(system_sleep)
    store = Stores(RedisSettings.model_validate({"url": redis_url(port)}), JobSettings())
    try:
        command = valkey(place, port, PASSWORDS, place.with_suffix(".log"), process_environment())
        children.wait_ready(children.start(command), lambda: answers(store), 120)
        yield port
    finally:
        children.stop(20)


@contextmanager
def postgres_of(place: Path, port: int | None = None) -> Iterator[int]:
    """Start a PostgreSQL that nobody else uses, in `place`; its port. Stop it at the end."""
    port, children = port or free_port(), Children(system_sleep)
    try:
        log = place / "postgresql.log"
        database = children.start(postgres(place / "postgres", port, "secret", log, process_environment()))
        children.wait_ready(database, lambda: _listens(port), 120)
        yield port
    finally:
        children.stop(20)


@contextmanager
def services(place: Path) -> Iterator[Services]:
    """Start both servers in `place`; stop them at the end."""
    children = Children(system_sleep)
    with lone_valkey(place / "valkey") as redis:
        port = free_port()
        server = f"postgresql+psycopg://postgres:secret@127.0.0.1:{port}/"
        try:
            log = place / "postgresql.log"
            database = children.start(postgres(place / "postgres", port, "secret", log, process_environment()))
            children.wait_ready(database, lambda: create_database(f"{server}postgres", "demo"), 120)
            yield Services(redis_url(redis), redis_url(redis, "carecase"), redis_url(redis, "flower"), f"{server}demo")
        finally:
            children.stop(20)


def answers(store: Stores) -> bool:
    try:
        store.client.ping()
    except StoreUnavailable:
        return False
    return True


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
