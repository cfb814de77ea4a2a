"""`carecase worker --check`: the health of the workers of this user, on this machine or in this container.

Few imports: a health check runs every few seconds.
"""

import os
import socket
import sys

from carecase_worker.worker.health.socket import PATH, address, directory, is_alive, open_directory

_TIMEOUT_S = 2.0
_MOST_BYTES = 4096
_OK = b"200"


def check() -> int:
    """Query and print the health of each worker; return 0 if there are workers and all are healthy, else 1."""
    path = directory()
    try:
        number = open_directory(path)
    except FileNotFoundError:
        return _none_runs()
    except OSError as error:
        print(f"{path}: {error.strerror}; remove it, and restart the workers", file=sys.stderr)  # noqa: T201  # no typer
        return 1
    names = sorted(filter(is_alive, os.listdir(number)))  # noqa: PTH208  # few imports
    answers = [_ask(name, address(path, number, name)) for name in names]
    return max(answers) if answers else _none_runs()


def _none_runs() -> int:
    print(  # noqa: T201  # no typer
        "no worker of this user runs on this machine or in this container; start: carecase worker", file=sys.stderr
    )
    return 1


def _ask(name: str, place: str) -> int:
    """Print the health that a worker reports; return 0 if it is healthy, else 1."""
    try:
        is_well, text = _answer(place)
    except OSError:
        is_well, text = False, f"does not answer within {_TIMEOUT_S:g} s; restart it"
    print(f"worker {name}: {text}", file=sys.stdout if is_well else sys.stderr)
    return 0 if is_well else 1


def _answer(place: str) -> tuple[bool, str]:
    """Return the response at a socket: healthy or not, and its text. Raises OSError, also on timeout."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(place)
        connection.sendall(b"GET %s HTTP/1.0\r\n\r\n" % PATH)
        received = b""
        while (more := connection.recv(_MOST_BYTES)) and len(received) < _MOST_BYTES:
            received += more
    head, _, body = received.partition(b"\r\n\r\n")
    return head.split(b" ")[1:2] == [_OK], body.decode("utf-8", "replace").strip() or "tells nothing"
