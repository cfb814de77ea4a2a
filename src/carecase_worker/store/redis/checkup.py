"""Checks of a Redis: faults that stop the service, faults that do not, and hints for `carecase doctor`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from carecase_worker.errors import SettingsError, StoreUnavailable
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.connection import connect, redis_errors

_NEEDED = (7, 2)
"""Lowest version of Redis and of Valkey: 7.0 refuses scripts as a whole, 7.2 has WAITAOF."""
_OTHERS = ("dragonfly_version", "kvrocks_version", "garnet_version")
"""Version fields of compatible servers, which also report a Redis version."""

_OLD = (
    "{name} {version} is not supported: Redis 7.2 or newer is needed, or Valkey 7.2 or newer"
    " (docs/operations/versions.md)"
)
_EVICTS = "Redis may drop accepted batches when it is full. Put into redis.conf: maxmemory-policy noeviction"
_FORGETS = (
    "Redis does not write to disk. Put into redis.conf: appendonly yes, and appendfsync always"
    ' (or say redis.durability = "relaxed" if you can lose accepted batches)'
)
_UNBOUNDED = "has no maxmemory; set it below the machine's memory, so that writes fail before it is killed"
_TIMEOUT = timedelta(seconds=8)


def reach(settings: RedisSettings, timeout: timedelta = _TIMEOUT) -> None:
    """Ping Redis once, as this user. Raises StoreUnavailable."""
    client = connect(settings, timeout, attempts=1)
    try:
        with redis_errors():
            client.ping()
    finally:
        client.close()


def require_fit(client: Any, durable: bool) -> None:
    """Refuse a Redis that could lose accepted batches (SettingsError), or is too old (StoreUnavailable)."""
    with redis_errors():
        server, persistence, memory = (
            cast(Mapping[str, Any], client.info(section)) for section in ("server", "persistence", "memory")
        )
    too_old = version_fault(server)
    if too_old is not None:
        raise StoreUnavailable(too_old)  # the rest can wait: it will be another server
    mistakes = [_EVICTS] if memory.get("maxmemory_policy") != "noeviction" else []
    if durable and not persistence.get("aof_enabled"):
        mistakes.append(_FORGETS)
    if mistakes:
        raise SettingsError("\n".join(mistakes))


def refuse_unsupported(settings: RedisSettings) -> None:
    """Raise StoreUnavailable if the server answers and its version is not supported."""
    client = connect(settings)
    try:
        with redis_errors():
            fault = version_fault(cast(Mapping[str, Any], client.info("server")))
    except StoreUnavailable:
        return  # the caller goes on trying, and says so itself
    finally:
        client.close()
    if fault is not None:
        raise StoreUnavailable(fault)


def version_fault(server: Mapping[str, Any]) -> str | None:
    """Return the fault of the version in a server's INFO; None if the version is supported."""
    other = next((field for field in _OTHERS if field in server), None)
    field = other or ("valkey_version" if "valkey_version" in server else "redis_version")
    version = str(server.get(field, ""))
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if other is None and numbers >= _NEEDED:
        return None
    return _OLD.format(name=field.removesuffix("_version").capitalize(), version=version or "of no version")


def redis_faults(settings: RedisSettings) -> list[str]:
    """Return a line for each fault that should be fixed although the service runs. Raises StoreUnavailable."""
    with redis_errors(), connect(settings) as client:
        memory = cast(Mapping[str, Any], client.info("memory"))
    return [] if int(memory.get("maxmemory", 0)) else [_UNBOUNDED]


def redis_hints(settings: RedisSettings) -> list[str]:
    """Return a line for each possible improvement. Raises StoreUnavailable."""
    hint = "lets this user do more than the service needs; give it a user of its own (docs/privacy.md)"
    with connect(settings) as client:
        return [hint] if _may_administer(client) else []


def _may_administer(client: Any) -> bool:
    try:
        with redis_errors():
            client.config_get("maxmemory")
    except StoreUnavailable:
        return False
    return True
