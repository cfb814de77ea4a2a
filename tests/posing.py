"""A way in to a server that poses as another version: what it says of its version is changed on the way."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

POSTGRES = re.compile(rb"(?<=server_version\x00)\d\d")
VALKEY = re.compile(rb"(?<=valkey_version:)\d")


@contextmanager
def posing_as(version: int, port: int, pattern: "re.Pattern[bytes]" = POSTGRES) -> Iterator[int]:
    """A port that passes on to `port`, where everything but the major version, of as many digits, stays as it is."""
    with passing_on(port, lambda piece: pattern.sub(b"%d" % version, piece)) as way_in:
        yield way_in


@contextmanager
def passing_on(port: int, change: Callable[[bytes], bytes]) -> Iterator[int]:
    """A port that passes on to `port`, and changes what comes back; whoever changes it may take any time over it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, port, change), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket, port: int, change: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while True:
            outside, inside = server.accept()[0], socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_pass_on, args=(outside, inside, bytes), daemon=True).start()
            threading.Thread(target=_pass_on, args=(inside, outside, change), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(change(piece))
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
