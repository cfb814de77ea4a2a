"""The Lua scripts of the operations, and the encoding of their named arguments and replies."""

from importlib import resources
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")

OPERATIONS = (
    "stage", "discard", "admit", "place", "claim", "complete", "release", "cancel", "purge", "overdue", "reclaim",
    "settle", "list", "seen", "spend", "rewrap", "deliver", "delivered", "replay",
)  # fmt: skip


def script_of(operation: str) -> str:
    """Return the script of an operation: a flags line, then the shared parts, then its own text.

    The flags make Redis refuse the whole script if it would refuse one of its writes, so that none is applied by half.
    When memory is full, only stage and admit are refused; the others free memory.
    """
    shebang, _, own = _text(operation).partition("\n")
    return f"{shebang}\n{_text('prelude')}\n{_text('chunks')}\n{_text('outbox')}\n{own}"


def named(**arguments: Any) -> bytes:
    """Encode the named text and number arguments of a script as its first argument.

    Redis cannot read msgpack's binary strings, so binary arguments follow separately.
    """
    return msgspec.msgpack.encode(arguments)


def values_of(reply: bytes, kind: type[_T]) -> _T:
    """Decode a reply."""
    return msgspec.msgpack.decode(reply, type=kind)


def _text(name: str) -> str:
    return (resources.files("carecase_worker.store") / "lua" / f"{name}.lua").read_text("utf-8")
