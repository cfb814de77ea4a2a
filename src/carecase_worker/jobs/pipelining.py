"""Commands of one event loop that go to Redis together: what comes up while others are on their way goes next.

A command that is alone waits for no company; many at once share a round trip, and one wait for the disk.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice, repeat
from typing import Any

import redis
import redis.asyncio

from carecase_worker.clock import milliseconds
from carecase_worker.errors import StoreUnavailable
from carecase_worker.jobs.connection import ELSEWHERE, PATIENCE, redis_errors
from carecase_worker.jobs.scripts import script_of

_MOST = 64
"""What goes in one trip, at most: what it occupies Redis for, others wait."""
_TIMES = 2

Command = tuple[Any, ...]


class Pipelining:
    """Sends commands. Belongs to the event loop that it is used on.

    With `wait_for_disk`, what was written is on disk when a command is answered.
    """

    def __init__(self, connection: "redis.asyncio.Redis", verb: str = "", wait_for_disk: bool = False) -> None:
        """Send commands over a connection; `verb` is the script that `script` runs."""
        self._redis = connection
        self._script = connection.register_script(script_of(verb)) if verb else None
        self._wait_for_disk = wait_for_disk
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._trips: asyncio.Task[None] | None = None

    async def script(self, names: Sequence[str], args: Sequence[Any]) -> Any:
        """What the script answers. Raises StoreUnavailable."""
        if self._script is None:
            raise RuntimeError("no script was named")
        run = ("EVALSHA", self._script.sha, len(names), *names, *args)
        try:
            (answer,) = await self._sent(run)
        except redis.exceptions.NoScriptError:
            answer = (await self.commands(("SCRIPT LOAD", self._script.script), run))[1]
        return answer

    async def commands(self, *commands: Command) -> list[Any]:
        """What Redis answers to some commands. Raises StoreUnavailable."""
        with redis_errors():
            return await self._sent(*commands)

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

    async def _sent(self, *commands: Command) -> list[Any]:
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answers))
        if self._trips is None or self._trips.done():
            self._trips = asyncio.create_task(self._make_trips())
        return await answers

    async def _make_trips(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                answers = iter(await self._trip([command for commands, _ in some for command in commands]))
            except (redis.RedisError, StoreUnavailable) as error:
                answers = repeat(error)
            for commands, waiting in some:
                told = list(islice(answers, len(commands)))
                failed = next((one for one in told if isinstance(one, Exception)), None)
                if waiting.done():  # who asked has left
                    continue
                if failed is not None:
                    waiting.set_exception(failed)
                else:
                    waiting.set_result(told)

    async def _trip(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands; what each is answered, also if that is an error. A server that is no more the one is left."""
        for _ in range(_TIMES):
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                if self._wait_for_disk:
                    pipe.execute_command("WAITAOF", 1, 0, milliseconds(PATIENCE) // 2)
                answers = await pipe.execute(raise_on_error=False)
            if not any(isinstance(answer, ELSEWHERE) for answer in answers):
                break
            await self._redis.connection_pool.disconnect()
        if not self._wait_for_disk:
            return answers
        *answers, on_disk = answers
        if isinstance(on_disk, Exception):
            raise on_disk
        if on_disk[0] < 1:
            raise StoreUnavailable("the job store has not confirmed that the batch is on disk")
        return answers
