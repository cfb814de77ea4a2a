"""The client of the job store: one pool of connections, with the keys and the scripts of the operations."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from carecase_worker.clock import milliseconds, monotonic
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.keys import Keys
from carecase_worker.store.redis.checkup import require_fit
from carecase_worker.store.redis.connection import RESPONSE_TIMEOUT, NoScriptError, connect, redis_errors
from carecase_worker.store.scripts import OPERATIONS, script_of
from carecase_worker.telemetry import Observe, unobserved


class StoreClient:
    """Connections to Redis for threads, shared by all stores and queries.

    Every method raises StoreUnavailable if Redis is unreachable or rejects the command.
    """

    def __init__(
        self, settings: RedisSettings, observe: Observe = unobserved, timeout: timedelta = RESPONSE_TIMEOUT
    ) -> None:
        """Connect at first use; `observe` is called with each operation's name and its duration in seconds.

        `timeout` is for a response.
        """
        self.redis = connect(settings, timeout)
        self.keys = Keys(settings.prefix)
        self._wait_for_disk = settings.durability == "fsync"
        self._observe = observe
        self._scripts = {operation: self.redis.register_script(script_of(operation)) for operation in OPERATIONS}

    def check(self) -> None:
        """Refuse a Redis that is too old (StoreUnavailable) or could lose accepted batches (SettingsError)."""
        require_fit(self.redis, self._wait_for_disk)

    def ping(self) -> None:
        """Ping Redis."""
        with redis_errors():
            self.redis.ping()

    def run(self, operation: str, args: Sequence[Any], names: Sequence[str] = ()) -> Any:
        """Run the script of an operation; `names` are its keys after the prefix."""
        began = monotonic()
        with redis_errors():
            answer = self._scripts[operation](keys=[self.keys.prefix, *names], args=args)
        self._observe(operation, monotonic() - began)
        return answer

    def run_durably(self, operation: str, args: Sequence[Any], names: Sequence[str]) -> bytes:
        """Run the script of an operation; with durability fsync, return once its writes are on disk."""
        began = monotonic()
        with redis_errors():
            answer = self._in_one_trip(operation, args, [self.keys.prefix, *names])
        self._observe(operation, monotonic() - began)
        return answer

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()

    def _in_one_trip(self, operation: str, args: Sequence[Any], names: Sequence[str]) -> bytes:
        """Run a script and wait for the fsync in one pipeline, so that a small batch costs one round trip."""
        script = self._scripts[operation]
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.evalsha(script.sha, len(names), *names, *args)
            if self._wait_for_disk:
                pipe.execute_command("WAITAOF", 1, 0, milliseconds(RESPONSE_TIMEOUT) // 2)  # type: ignore[no-untyped-call]
            try:
                answers = pipe.execute()
            except NoScriptError:
                self.redis.script_load(script.script)
                return self._in_one_trip(operation, args, names)
        if self._wait_for_disk and answers[1][0] < 1:
            raise StoreUnavailable("the job store has not confirmed that the batch is on disk")
        return cast(bytes, answers[0])
