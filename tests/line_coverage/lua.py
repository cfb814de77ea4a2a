"""Coverage of Lua scripts: copies of them that write each statement they reach to the log of the Redis that runs them.

Redis has no hook for this. Its log can be written to by every user and in every state of the server, it changes no key,
and it outlives a server that is killed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from luaparser import ast, astnodes

_REACHED = re.compile(r"reached-lua (\w+):(\d+):(\d+)")
_NOTE = (
    "local reached_before = {} "
    "local function reached(where) if not reached_before[where] then reached_before[where] = true "
    "redis.log(redis.LOG_WARNING, 'reached-lua ' .. where) end end "
)
"""Notes a statement once a call, so that a loop does not fill the log. `prelude`, which stands first, has it."""


@dataclass(frozen=True, slots=True, order=True)
class Statement:
    """The place of a statement; a line may have several: `if late then return end` has two."""

    script: str
    line: int
    column: int


def statements(script: str, text: str) -> dict[Statement, int]:
    """The statements of a script, and at which character of its text each begins."""
    starts = sorted(_start(text, statement) for statement in _all_statements(text))
    return {Statement(script, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)): at for at in starts}


def instrumented(script: str, text: str) -> str:
    """The script with a note before each of its statements, line by line as it was."""
    pieces, done, note = [], 0, _NOTE if script == "prelude" else ""
    for statement, at in statements(script, text).items():
        pieces += [text[done:at], note, f"reached('{script}:{statement.line}:{statement.column}') "]
        done, note = at, ""
    return "".join([*pieces, text[done:]])


def reached(log: str) -> set[Statement]:
    """The statements that are noted in a log."""
    return {Statement(script, int(line), int(column)) for script, line, column in _REACHED.findall(log)}


def _all_statements(text: str) -> Iterator[astnodes.Node]:
    tree = ast.parse(re.sub("^#!", "--", text))
    for node in ast.walk(tree):
        if isinstance(node, astnodes.Block):
            yield from node.body


def _start(text: str, statement: astnodes.Node) -> int:
    """The parser leaves out the name that a call begins with."""
    at: int = min(node.start_char for node in ast.walk(statement) if node.start_char is not None)
    name = re.search(r"\w+$", text[:at])
    return at - len(name.group()) if name and isinstance(statement, astnodes.Call) else at
