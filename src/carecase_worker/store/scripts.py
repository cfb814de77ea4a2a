"""The Lua scripts of the operations: their texts, and their arguments and replies, which have names."""

from importlib import resources
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")

OPERATIONS = (
    "stage", "discard", "admit", "place", "claim", "complete", "release", "cancel", "purge", "overdue", "reclaim",
    "settle", "list", "seen", "spend", "rewrap", "deliver", "delivered", "replay",
)  # fmt: skip


def script_of(operation: str) -> str:
    """Return the script of an operation: its first line, then the parts that all share, then its own text.

    The first line makes Redis refuse the whole script if it would refuse one of its writes: nothing is half done. When
    memory is full only stage and admit are refused; the others make room.
    """
    shebang, _, own = _text(operation).partition("\n")
    return f"{shebang}\n{_text('prelude')}\n{_text('chunks')}\n{_text('outbox')}\n{own}"


def named(**arguments: Any) -> bytes:
    """Return the first argument of a script: its arguments by their names, those that are text or numbers.

    Redis reads no binary strings of msgpack; they follow it as arguments of their own.
    """
    return msgspec.msgpack.encode(arguments)


def values_of(reply: bytes, kind: type[_T]) -> _T:
    """Return the values of a reply."""
    return msgspec.msgpack.decode(reply, type=kind)


def _text(name: str) -> str:
    return (resources.files("carecase_worker.store") / "lua" / f"{name}.lua").read_text("utf-8")
