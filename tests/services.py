"""Real servers for tests, from the same wheels and with the same settings as `carecase up`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from carecase_worker.clock import system_sleep
from carecase_worker.embedded.children import Children
from carecase_worker.embedded.servers import postgres, valkey
from carecase_worker.embedded.stack import choose_ports
from carecase_worker.errors import StoreUnavailable
from carecase_worker.jobs.store import JobStore
from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.targets.schema import create_database

_PASSWORDS = {"default": "secret", "carecase": "own", "flower": "lesser"}


@dataclass(frozen=True)
class Services:
    """The URLs of a Valkey and of a PostgreSQL with an empty database `demo`."""

    redis_url: str
    app_redis_url: str
    flower_redis_url: str
    postgres_url: str

    def store(self, prefix: str, **jobs: object) -> JobStore:
        """A job store under a prefix of its own; `jobs` are settings of `[jobs]`."""
        redis = RedisSettings.model_validate({"url": self.redis_url, "prefix": prefix})
        return JobStore(redis, JobSettings.model_validate(jobs))


@contextmanager
def lone_valkey(place: Path) -> Iterator[str]:
    """Start a Valkey that nobody else uses; its URL. Stop it at the end."""
    ports, children = choose_ports(None), Children(system_sleep)
    url = f"redis://default:secret@127.0.0.1:{ports.redis}/0"
    store = JobStore(RedisSettings.model_validate({"url": url}), JobSettings())
    try:
        command = valkey(place, ports.redis, _PASSWORDS, place.with_suffix(".log"), process_environment())
        children.wait_ready(children.start(command), lambda: _answers(store), 30)
        yield url
    finally:
        children.stop(("redis",), 20)


@contextmanager
def services(place: Path) -> Iterator[Services]:
    """Start both servers in `place`; stop them at the end."""
    environment = process_environment()
    ports = choose_ports(None)
    children = Children(system_sleep)
    urls = Services(
        f"redis://default:secret@127.0.0.1:{ports.redis}/0",
        f"redis://carecase:own@127.0.0.1:{ports.redis}/0",
        f"redis://flower:lesser@127.0.0.1:{ports.redis}/0",
        f"postgresql+psycopg://postgres:secret@127.0.0.1:{ports.postgres}/demo",
    )
    try:
        redis = children.start(valkey(place / "valkey", ports.redis, _PASSWORDS, place / "redis.log", environment))
        database = children.start(
            postgres(place / "postgres", ports.postgres, "secret", place / "postgresql.log", environment)
        )
        store = urls.store("probe:")
        children.wait_ready(redis, lambda: _answers(store), 30)
        server = urls.postgres_url.removesuffix("demo") + "postgres"
        children.wait_ready(database, lambda: create_database(server, "demo"), 30)
        yield urls
    finally:
        children.stop(("redis", "postgresql"), 20)


def _answers(store: JobStore) -> bool:
    try:
        store.ping()
    except StoreUnavailable:
        return False
    return True
