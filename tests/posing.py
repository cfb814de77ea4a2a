"""A way in to a PostgreSQL that poses as another version: what it says of its version is changed on the way."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_VERSION = re.compile(rb"(?<=server_version\x00)\d\d")


@contextmanager
def posing_as(version: int, port: int) -> Iterator[int]:
    """A port that passes on to `port`, where everything but the major version, of two digits, stays as it is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, port, b"%d" % version), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket, port: int, version: bytes) -> None:
    with suppress(OSError):
        while True:
            outside, inside = server.accept()[0], socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_pass_on, args=(outside, inside, None), daemon=True).start()
            threading.Thread(target=_pass_on, args=(inside, outside, version), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, version: bytes | None) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece if version is None else _VERSION.sub(version, piece))
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
