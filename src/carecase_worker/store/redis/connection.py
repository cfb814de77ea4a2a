"""Redis connections, and redis-py errors translated into StoreUnavailable.

Only this module imports redis.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError as NoScriptError
from redis.retry import Retry

from carecase_worker.clock import from_epoch_us
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings
from carecase_worker.settings.tls import redis_tls_options

LoopRedis = redis.asyncio.Redis
"""Connections for one event loop."""

RESPONSE_TIMEOUT = timedelta(seconds=5)
"""Timeout of a response of Redis."""

_CONNECT_TIMEOUT_S = 3

_SAID = {
    "NOAUTH": "refuses the credentials; check {setting}",
    "WRONGPASS": "refuses the credentials; check {setting}",
    "NOPERM": "refuses a command to this user; check its ACL",
    "OOM": "is full; give Redis more memory",
    "READONLY": "is a replica and takes no writes; check which server {setting} names",
    "MASTERDOWN": "is a replica that has lost its primary; restore that, or check which server {setting} names",
    "CLUSTERDOWN": "is a cluster with a part down; restore that part",
    "LOADING": "is loading its data from disk; wait",
    "NOREPLICAS": "has too few replicas to take writes; restore them, or lower min-replicas-to-write",
    "MISCONF": "cannot write to its disk; free some space, and see its log",
    "BUSY": "is busy with a script; wait",
}
"""Fault and remedy by Redis error code; the braces are for the setting with the server's URL."""

ELSEWHERE = (redis.ReadOnlyError, redis.exceptions.ClusterDownError, redis.exceptions.MasterDownError)
"""Errors of a server that is no longer the right one (failover): reconnect at once."""


class _Resettable(AbstractConnection):
    """Connection whose reset while it was idle is an error of Redis, so that the command is sent over another one.

    uvloop has closed its transport by then, and raises RuntimeError for a write; redis-py expects OSError. It sends
    within `asyncio.wait_for`, which before Python 3.12 ignores a cancellation that comes as the sending ends.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Send a command. Raises redis.ConnectionError if the connection is lost."""
        cancelled = _times_cancelled()
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise redis.ConnectionError("the connection was reset") from error
        if _times_cancelled() > cancelled:
            raise asyncio.CancelledError


def _times_cancelled() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


class _ResettableTcp(_Resettable, Connection):
    """Connection over TCP."""


class _ResettableTls(_Resettable, SSLConnection):
    """Connection over TLS."""


class _ResettableUnix(_Resettable, UnixDomainSocketConnection):
    """Connection over a Unix socket."""


_RESETTABLE: Mapping[type[AbstractConnection], type[_Resettable]] = {
    Connection: _ResettableTcp,
    SSLConnection: _ResettableTls,
    UnixDomainSocketConnection: _ResettableUnix,
}


def connect(settings: RedisSettings, timeout: timedelta = RESPONSE_TIMEOUT, attempts: int = 2) -> redis.Redis:
    """Return a connection pool for threads, opened at first use; a command is tried `attempts` times."""
    options = {**_options(settings, timeout), "health_check_interval": 30}
    return redis.Redis.from_url(settings.address, **options, retry=Retry(NoBackoff(), attempts - 1))


def connect_listener(settings: RedisSettings) -> LoopRedis:
    """Return a connection pool for one event loop that never retries.

    Messages published while a connection is broken are lost, so the listener must get the error at once.
    """
    options = {**_options(settings, RESPONSE_TIMEOUT), "decode_responses": True}
    return _on_loop(settings, options, retries=0)


def connect_loop(settings: RedisSettings, timeout: timedelta = RESPONSE_TIMEOUT, attempts: int = 2) -> LoopRedis:
    """Return a connection pool for one event loop that behaves like that of `connect`."""
    options = {**_options(settings, timeout), "health_check_interval": 30}
    return _on_loop(settings, options, retries=attempts - 1)


def _on_loop(settings: RedisSettings, options: Mapping[str, Any], retries: int) -> LoopRedis:
    client = redis.asyncio.Redis.from_url(settings.address, **options, retry=AsyncRetry(NoBackoff(), retries))
    pool = client.connection_pool
    pool.connection_class = _RESETTABLE[pool.connection_class]
    return client


def _options(settings: RedisSettings, timeout: timedelta) -> dict[str, Any]:
    seconds, url = timeout.total_seconds(), settings.address
    if url.startswith("unix:"):  # a Unix socket needs neither keepalive nor a timeout for connecting
        return {"socket_timeout": seconds}
    is_tls = url.startswith("rediss:")
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": min(seconds, _CONNECT_TIMEOUT_S),
        "socket_keepalive": True,
        "retry_on_error": list(ELSEWHERE),
        **(redis_tls_options(settings) if is_tls else {}),
    }


def moment_of(answer: tuple[int, int]) -> datetime:
    """Convert a reply to TIME (seconds and microseconds)."""
    seconds, microseconds = answer
    return from_epoch_us(seconds * 1_000_000 + microseconds)


@contextmanager
def redis_errors(server: str = "the job store", setting: str = "redis.url") -> Iterator[None]:
    """Translate redis-py errors into StoreUnavailable; its text has neither host nor command.

    The text calls the server `server`, and names the setting with its URL.
    """
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable(f"{server} {_said_of(error, setting)}") from None


def _said_of(error: redis.RedisError, setting: str) -> str:
    # redis-py puts the command before the server's text if it is of a pipeline
    code = getattr(error, "status_code", None) or str(error).rpartition(" caused error: ")[2].partition(" ")[0]
    if code in _SAID:
        return _SAID[code].format(setting=setting)
    match error:
        case redis.ConnectionError() | redis.TimeoutError():
            return f"cannot be reached; check that Redis runs, and {setting}"
        case _:
            return f"refuses: {type(error).__name__}"
