"""The connection to Redis, and its errors as ours; beside the job store the only module that knows redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings

PATIENCE = timedelta(seconds=5)
"""How long an answer of Redis may take."""

_CONNECT_TIMEOUT_S = 3


def connect(settings: RedisSettings, patience: timedelta = PATIENCE, attempts: int = 2) -> redis.Redis:
    """A pool of connections, made when they are first used."""
    seconds = patience.total_seconds()
    return redis.Redis.from_url(
        settings.url.get_secret_value(),
        socket_timeout=seconds,
        socket_connect_timeout=min(seconds, _CONNECT_TIMEOUT_S),
        socket_keepalive=True,
        health_check_interval=30,
        retry=Retry(NoBackoff(), attempts - 1),
        **(tls_options(settings) if settings.url.get_secret_value().startswith("rediss:") else {}),
    )


def tls_options(settings: RedisSettings) -> dict[str, Any]:
    """What a rediss:// connection is checked with: the server's certificate and its name, always."""
    files = {"ssl_ca_certs": settings.ca_file, "ssl_certfile": settings.cert_file, "ssl_keyfile": settings.key_file}
    named = {option: str(path) for option, path in files.items() if path is not None}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **named}


@contextmanager
def redis_errors() -> Iterator[None]:
    """Redis's errors as ours; the text says nothing of host or command."""
    try:
        yield
    except redis.AuthenticationError:
        raise StoreUnavailable("the job store refuses the credentials; check redis.url") from None
    except (redis.ConnectionError, redis.TimeoutError):
        raise StoreUnavailable("the job store cannot be reached; check that Redis runs, and redis.url") from None
    except redis.OutOfMemoryError:
        raise StoreUnavailable("the job store is full; give Redis more memory") from None
    except redis.exceptions.NoPermissionError:
        raise StoreUnavailable("the job store refuses a command to this user; check its ACL") from None
    except redis.RedisError as error:
        raise StoreUnavailable(f"the job store refuses: {type(error).__name__}") from None
