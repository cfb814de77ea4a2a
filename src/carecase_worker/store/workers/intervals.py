"""Intervals of housekeeping tasks that one worker does for all."""

from datetime import timedelta

from carecase_worker.clock import milliseconds
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import redis_errors


class Intervals:
    """Intervals in Redis, each acquired by one worker."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    def try_acquire(self, what: str, every: timedelta) -> bool:
        """Return True if the caller is to do the task `what`; then no other caller gets True for the time `every`.

        Raises StoreUnavailable.
        """
        with redis_errors():
            key = self._client.keys.housekeeping(what)
            return bool(self._client.redis.set(key, 1, nx=True, px=milliseconds(every)))
