"""The scripts of the job store by a clock that stands still until it is moved, and all that they leave in Redis."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import redis
from tests.integration.store.replies import answer_of

from carecase_worker.store.scripts import OPERATIONS, named, script_of

FIRST_US = 4_102_444_800_000_000
"""The year 2100: no key expires by itself, only when this clock has come to its time."""

_CLOCK = """
local server, moment_us = redis, tonumber(redis.call('GET', 'clock'))
local moment_ms = math.floor(moment_us / 1000)
local redis = setmetatable({}, {__index = server})

function redis.call(command, key, ...)
  local rest = {...}
  if command == 'TIME' then
    return {string.format('%.0f', math.floor(moment_us / 1000000)), string.format('%.0f', moment_us % 1000000)}
  elseif command == 'PTTL' then
    local till_ms = server.call('PEXPIRETIME', key)
    return till_ms < 0 and till_ms or till_ms - moment_ms
  elseif command == 'PEXPIRE' then
    return server.call('PEXPIREAT', key, moment_ms + rest[1])
  elseif command == 'SET' and rest[2] == 'PX' then
    return server.call('SET', key, rest[1], 'PXAT', moment_ms + rest[3], unpack(rest, 4))
  elseif command == 'PUBLISH' then
    server.call('RPUSH', key, rest[1])
  end
  return server.call(command, key, ...)
end
"""
"""Redis's own clock, exchanged for the key `clock`; what is published can be read as a list of the channel's name."""

_EVERYTHING = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind, value = redis.call('TYPE', key).ok, nil
  if kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  else value = redis.call('GET', key) end
  if key ~= 'clock' then found[#found + 1] = {key, kind, value, redis.call('PEXPIRETIME', key)} end
end
return cjson.encode(found)
"""

_SPOILT = """
for _, command in ipairs(cjson.decode(ARGV[1])) do redis.call(unpack(command)) end
"""

_ELAPSED = """
redis.call('SET', 'clock', ARGV[1])
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. '*')) do
  local till_ms = redis.call('PEXPIRETIME', key)
  if till_ms >= 0 and till_ms <= math.floor(tonumber(ARGV[1]) / 1000) then redis.call('DEL', key) end
end
"""

Content = tuple[Any, int | None]
"""A key's value, and the ms of the clock at which it goes, if it does."""


class Clocked:
    """Commands that are put into a row, and done at one stroke: in a database of Redis that holds nothing else."""

    def __init__(self, client: "redis.Redis", text_of: Callable[[str], str] = script_of) -> None:
        texts = {name: text_of(name).partition("\n") for name in OPERATIONS}
        self._shas = {
            name: client.script_load(f"{first}\n{_CLOCK}\n{rest}") for name, (first, _, rest) in texts.items()
        }
        self._everything, self._elapsed = client.script_load(_EVERYTHING), client.script_load(_ELAPSED)
        self._row = client.pipeline(transaction=False)
        self.restart()

    def restart(self) -> None:
        """Forget everything, also what is in the row; begin anew."""
        self._row.reset()
        self._row.flushdb()
        self._row.set("clock", FIRST_US)

    def run(self, name: str, arguments: dict[str, Any], *large: Any, keys: Sequence[str] = ()) -> None:
        """Run a script by its name."""
        names = ["c:", *(f"c:{key}" for key in keys)]
        command = ("EVALSHA", self._shas[name], len(names), *names, named(**arguments), *large)
        self._row.execute_command(*command, NEVER_DECODE=True)
        self._tell_everything()

    def spoil(self, *commands: Sequence[object]) -> None:
        """Do to the keys what no script does; the second word of a command is a key, without the prefix."""
        named = [[command, f"c:{key}", *map(str, rest)] for command, key, *rest in commands]
        self._row.eval(_SPOILT, 0, json.dumps(named))
        self._tell_everything()

    def be_at(self, now_us: int) -> None:
        """Set the clock; keys expire whose time has come."""
        self._row.evalsha(self._elapsed, 1, "c:", now_us)
        self._tell_everything()

    def done(self) -> list[tuple[Any, dict[str, Content]]]:
        """Do it all; return each command's answer, and the values of all keys then, by name without the prefix."""
        answers = self._row.execute(raise_on_error=False)[2:]
        return [
            (answer_of(answer), _content(time_reply))
            for answer, time_reply in zip(answers[::2], answers[1::2], strict=True)
        ]

    def _tell_everything(self) -> None:
        self._row.evalsha(self._everything, 0)


def _content(reply: str) -> dict[str, Content]:
    return {
        key.removeprefix("c:"): (_read(kind, value), None if till_ms < 0 else till_ms)
        for key, kind, value, till_ms in json.loads(reply)
    }


def _read(kind: str, value: Any) -> Any:
    match kind:
        case "hash" | "zset":
            return dict(zip(value[::2], value[1::2], strict=True))
        case "set":
            return set(value)
        case _:
            return value
