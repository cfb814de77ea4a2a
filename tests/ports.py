"""Ports that no other test session of this machine takes, nor the system for a client's end of a connection.

A port that is free now can be taken before the server that it is for listens, if it is any that the system gives
out. These lie below those, and a session keeps its block of them by listening on the first one.
"""

import socket
from dataclasses import fields
from functools import cache
from itertools import cycle

from carecase_worker.embedded.stack import Ports

_BLOCKS = range(10_000, 32_000, 100)
_HOST = "127.0.0.1"


def free_port() -> int:
    """A port of this session's on which nobody listens."""
    _, ports = _own()
    return next(port for port in ports if _try(port))


def free_ports() -> Ports:
    """Free ports for a whole system."""
    return Ports(*(free_port() for _ in fields(Ports)))


@cache
def _own() -> "tuple[socket.socket, cycle[int]]":
    """The listener that keeps this session's block, and the ports in it, in turn: one just left is not given again."""
    for first in _BLOCKS:
        if keeper := _try(first, keep=True):
            return keeper, cycle(range(first + 1, first + _BLOCKS.step))
    raise OSError("every port that tests may take is taken")


def _try(port: int, keep: bool = False) -> socket.socket | None:
    """Listen on a port; None if it is taken."""
    listener = socket.socket()
    try:
        if not keep:  # connections that have ended do not matter
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        return None
    if not keep:
        listener.close()
    return listener
