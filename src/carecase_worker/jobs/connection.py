"""How Redis is reached, and its errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings

SOCKET_TIMEOUT_S = 5
_OPTIONS: dict[str, Any] = {
    "socket_timeout": SOCKET_TIMEOUT_S,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 30,
}


def connect(settings: RedisSettings) -> "redis.Redis":
    """Connections for threads; a command that meets a broken one is tried once more."""
    return redis.Redis.from_url(settings.url.get_secret_value(), **_OPTIONS, retry=Retry(NoBackoff(), 1))


def connect_listener(settings: RedisSettings) -> "redis.asyncio.Redis":
    """Connections for one event loop; a broken one shows at once, since what was said meanwhile is lost."""
    options = {**_OPTIONS, "health_check_interval": 0}
    return redis.asyncio.Redis.from_url(
        settings.url.get_secret_value(), **options, retry=AsyncRetry(NoBackoff(), 0), decode_responses=True
    )


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
    except redis.RedisError as error:
        raise StoreUnavailable(f"the job store refuses: {type(error).__name__}") from None
