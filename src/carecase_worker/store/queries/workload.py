"""Work and storage of each database: what is open, how fast it is applied, what fails, and what clients use."""

from typing import cast

from carecase_worker.store.operations.admission import Kept
from carecase_worker.store.operations.calls import PACE_FIELDS, TROUBLE_FIELDS, pace_of_replies, trouble_of_replies
from carecase_worker.store.operations.throughput import Throughput, Trouble
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import redis_errors


class Workload:
    """Work and storage of databases, read from Redis. Every method raises StoreUnavailable."""

    def __init__(self, client: StoreClient) -> None:
        self._redis = client.redis
        self._keys = client.keys

    def pace(self, database: str) -> Throughput:
        """Read the open work and the rate of a database."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hmget(self._keys.pace(database), PACE_FIELDS)
            return pace_of_replies(*pipe.execute())

    def trouble(self, database: str) -> Trouble | None:
        """Read the current failure of a database; None if there is none, or no chunk is open."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hmget(self._keys.trouble(database), TROUBLE_FIELDS)
            pipe.zcard(self._keys.due(database))
            return trouble_of_replies(*pipe.execute())

    def backlog(self, database: str) -> tuple[int, int]:
        """Read the number of unfinished jobs of a database, and the bytes of their payloads."""
        with redis_errors():
            jobs, size = cast(list[bytes | None], self._redis.hmget(self._keys.backlog(database), ["jobs", "bytes"]))
        return int(jobs or 0), int(size or 0)

    def due_count(self, database: str) -> int:
        """Count the open chunks of a database."""
        with redis_errors():
            return self._redis.zcard(self._keys.due(database))

    def needs_sweep(self, database: str) -> bool:
        """Return whether a database has open chunks, or expired jobs that still count as stored."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zcard(self._keys.due(database))
            pipe.zrange(self._keys.leaving(database), 0, 0, withscores=True)
            (seconds, us), due, first = pipe.execute()
        return due > 0 or any(expires_ms <= 1000 * seconds + us / 1000 for _, expires_ms in first)

    def kept(self, database: str) -> dict[str, Kept]:
        """Read the usage of a database, by client."""
        with redis_errors():
            stored = cast(dict[bytes, bytes], self._redis.hgetall(self._keys.kept(database)))
        usage = {tuple(name.decode().split(":", 1)): int(value) for name, value in stored.items()}
        clients = sorted(name[1] for name in usage if name[0] == "bytes" and len(name) == 2)
        return {name: Kept(usage.get(("jobs", name), 0), usage["bytes", name]) for name in clients}

    def stats(self) -> dict[tuple[str, str], int]:
        """Read the total numbers of items, by database and count."""
        with redis_errors():
            stored = cast(dict[bytes, bytes], self._redis.hgetall(self._keys.stats))
        split = ((name.decode().rsplit("|", 1), int(value)) for name, value in stored.items())
        return {(database, count): value for (database, count), value in split}
