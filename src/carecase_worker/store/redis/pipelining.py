"""Pipelining: concurrent commands of an event loop share a round trip to Redis, and one fsync."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from carecase_worker.clock import milliseconds, monotonic
from carecase_worker.errors import StoreUnavailable
from carecase_worker.grouping import Grouping
from carecase_worker.store.redis.connection import ELSEWHERE, RESPONSE_TIMEOUT, LoopRedis, NoScriptError, redis_errors
from carecase_worker.store.scripts import script_of

_MOST = 64
"""Maximum number of calls per round trip: Redis serves no other client meanwhile."""
_TIMES = 2

Command = tuple[Any, ...]


class Pipelining:
    """A sender of commands, bound to the event loop that it is used on.

    With `wait_for_disk`, a response comes only after all earlier writes are on disk.
    """

    def __init__(
        self,
        connection: LoopRedis,
        wait_for_disk: bool = False,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Send commands over a connection; `observe` is called with the seconds of each round trip."""
        self._observe = observe
        self._redis = connection
        self._wait_for_disk = wait_for_disk
        self._trips = Grouping(self._trip, _MOST)

    async def commands(self, *commands: Command) -> list[Any]:
        """Send some commands and return their replies. Raises StoreUnavailable."""
        with redis_errors():
            return await self.replies(*commands)

    async def replies(self, *commands: Command) -> list[Any]:
        """Send some commands and return their replies. Raises redis.RedisError."""
        return await self._trips.one(commands)

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

    async def _trip(self, wanted: Sequence[Sequence[Command]]) -> list[list[Any] | BaseException]:
        """Send the commands of some calls; return the replies of each call, or the first error among them."""
        began = monotonic()
        answers = iter(await self._answers([command for commands in wanted for command in commands]))
        self._observe(monotonic() - began)
        replies = [list(islice(answers, len(commands))) for commands in wanted]
        return [next((one for one in some if isinstance(one, Exception)), some) for some in replies]

    async def _answers(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to some commands, errors among them.

        After a failover, reconnect and send them once more.
        """
        for _ in range(_TIMES):
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                if self._wait_for_disk:
                    pipe.execute_command("WAITAOF", 1, 0, milliseconds(RESPONSE_TIMEOUT) // 2)
                answers = await pipe.execute(raise_on_error=False)
            if not any(isinstance(answer, ELSEWHERE) for answer in answers):
                break
            await self._redis.connection_pool.disconnect()
        if not self._wait_for_disk:
            return answers
        *answers, on_disk = answers
        if isinstance(on_disk, Exception):  # a replica also refuses to wait, but without saying that it is one
            raise next((answer for answer in answers if isinstance(answer, ELSEWHERE)), on_disk)
        if on_disk[0] < 1:
            raise StoreUnavailable("the job store has not confirmed that the batch is on disk")
        return answers


class ScriptPipelining:
    """The calls of one operation's script, which share round trips."""

    def __init__(
        self,
        connection: LoopRedis,
        operation: str,
        wait_for_disk: bool = False,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Run the script of an operation over a connection."""
        self._script = connection.register_script(script_of(operation))
        self._commands = Pipelining(connection, wait_for_disk, observe)

    async def run(self, names: Sequence[str], args: Sequence[Any]) -> Any:
        """Run the script and return its reply. Raises StoreUnavailable."""
        call = ("EVALSHA", self._script.sha, len(names), *names, *args)
        with redis_errors():
            try:
                return (await self._commands.replies(call))[0]
            except NoScriptError:
                return (await self._commands.replies(("SCRIPT LOAD", self._script.script), call))[1]

    async def close(self) -> None:
        """Close the connection."""
        await self._commands.close()
