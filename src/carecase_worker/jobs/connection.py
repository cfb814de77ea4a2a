"""How Redis is reached, and its errors as ours; with the job store the only modules that know redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError as NoScriptError
from redis.retry import Retry

from carecase_worker.clock import from_epoch_us
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings

LoopRedis = redis.asyncio.Redis
"""Connections for one event loop."""

PATIENCE = timedelta(seconds=5)
"""How long an answer of Redis may take."""

_CONNECT_TIMEOUT_S = 3

_SAID = {
    "NOAUTH": "refuses the credentials; check redis.url",
    "WRONGPASS": "refuses the credentials; check redis.url",
    "NOPERM": "refuses a command to this user; check its ACL",
    "OOM": "is full; give Redis more memory",
    "READONLY": "is a replica and takes no writes; it is looked for anew, check which server its address leads to",
    "MASTERDOWN": "is a replica that has lost its primary; bring that back, or check which server its address leads to",
    "CLUSTERDOWN": "is a cluster of which a part is down; bring that back",
    "LOADING": "is reading its data from disk; wait",
    "NOREPLICAS": "has too few replicas to take writes; bring them back, or lower min-replicas-to-write",
    "MISCONF": "cannot write to its disk; make room, and see its log",
    "BUSY": "is busy with a script; wait",
}
"""Words for a Redis that answers with an error, and what to do, by the error's code."""

ELSEWHERE = (redis.ReadOnlyError, redis.exceptions.ClusterDownError, redis.exceptions.MasterDownError)
"""Errors that another server at the same address may not give: the connection is dropped, and made anew at once."""


def connect(settings: RedisSettings, patience: timedelta = PATIENCE, attempts: int = 2) -> redis.Redis:
    """Connections for threads, made when they are first used; a command that meets a broken one is tried once more."""
    options = {**_options(settings, patience), "health_check_interval": 30}
    return redis.Redis.from_url(settings.address, **options, retry=Retry(NoBackoff(), attempts - 1))


def connect_listener(settings: RedisSettings) -> LoopRedis:
    """Connections for one event loop; a broken one shows at once, since what was said meanwhile is lost."""
    options = _options(settings, PATIENCE)
    return redis.asyncio.Redis.from_url(
        settings.address, **options, retry=AsyncRetry(NoBackoff(), 0), decode_responses=True
    )


def connect_loop(settings: RedisSettings, patience: timedelta = PATIENCE, attempts: int = 2) -> LoopRedis:
    """Connections for one event loop, as those for threads."""
    options = {**_options(settings, patience), "health_check_interval": 30}
    return redis.asyncio.Redis.from_url(settings.address, **options, retry=AsyncRetry(NoBackoff(), attempts - 1))


def _options(settings: RedisSettings, patience: timedelta) -> dict[str, Any]:
    seconds, url = patience.total_seconds(), settings.address
    if url.startswith("unix:"):  # there is nothing to keep alive, nor to connect to for long
        return {"socket_timeout": seconds}
    is_tls = url.startswith("rediss:")
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": min(seconds, _CONNECT_TIMEOUT_S),
        "socket_keepalive": True,
        "retry_on_error": list(ELSEWHERE),
        **(tls_options(settings) if is_tls else {}),
    }


def tls_options(settings: RedisSettings) -> dict[str, Any]:
    """What a rediss:// connection is checked with: the server's certificate and its name, always."""
    files = {"ssl_ca_certs": settings.ca_file, "ssl_certfile": settings.cert_file, "ssl_keyfile": settings.key_file}
    named = {option: str(path) for option, path in files.items() if path is not None}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **named}


def moment_of(answer: tuple[int, int]) -> datetime:
    """The moment that an answer to TIME tells: seconds and microseconds."""
    seconds, microseconds = answer
    return from_epoch_us(seconds * 1_000_000 + microseconds)


@contextmanager
def redis_errors() -> Iterator[None]:
    """Redis's errors as ours; the text says nothing of host or command."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable(f"the job store {_said_of(error)}") from None


def _said_of(error: redis.RedisError) -> str:
    # of a pipeline, redis puts the command before what the server said
    code = getattr(error, "status_code", None) or str(error).rpartition(" caused error: ")[2].partition(" ")[0]
    if code in _SAID:
        return _SAID[code]
    match error:
        case redis.ConnectionError() | redis.TimeoutError():
            return "cannot be reached; check that Redis runs, and redis.url"
        case _:
            return f"refuses: {type(error).__name__}"
