"""What could be better with a Redis that does its part."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from carecase_worker.errors import StoreUnavailable
from carecase_worker.jobs.connection import connect, redis_errors
from carecase_worker.settings.model import RedisSettings

_PATIENCE = timedelta(seconds=8)


def reach(settings: RedisSettings, patience: timedelta = _PATIENCE) -> None:
    """Return if Redis answers to this user, asked once. Raises StoreUnavailable."""
    client = connect(settings, patience, attempts=1)
    try:
        with redis_errors():
            client.ping()
    finally:
        client.close()


def redis_hints(settings: RedisSettings) -> list[str]:
    """A line for each thing that could be better. Raises StoreUnavailable."""
    client = connect(settings)
    try:
        with redis_errors():
            memory = cast(Mapping[str, Any], client.info("memory"))
        hints = []
        if not int(memory.get("maxmemory", 0)):
            hints.append("has no maxmemory; set one below what the machine has, so that it refuses before it is killed")
        if _may_administer(client):
            hints.append("lets this user do more than the service needs; give it a user of its own (docs/privacy.md)")
        return hints
    finally:
        client.close()


def _may_administer(client: Any) -> bool:
    try:
        with redis_errors():
            client.config_get("maxmemory")
    except StoreUnavailable:
        return False
    return True
