"""Requests and answers by the byte."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.acceptance.system import System

JSON = "Content-Type: application/json"


@contextmanager
def connected(system: System) -> Iterator[socket.socket]:
    address = urlsplit(system.stack["intake"]["url"])
    with socket.create_connection((address.hostname, address.port), timeout=120) as opened:
        yield opened


def head(system: System, line: str, *lines: str, without: str = "") -> bytes:
    """A request's line and headers, with credentials and a Host; `without` is a name that is left out."""
    with system.client() as client:
        given = {name: client.headers[name] for name in ("x-api-key", "authorization", "vbasoftware-database")}
    given["host"] = "service.example:8080"
    own = [f"{name}: {value}" for name, value in given.items() if name != without.lower()]
    return "\r\n".join([line, *own, *lines, "", ""]).encode()


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the service closes."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def split(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and whatever follows them."""
    top, _, body = response.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


def asked(system: System, request: bytes, half_close: bool = False) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request after which the service closes the connection."""
    with connected(system) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return split(rest_of(connection))


def asked_once(system: System, *lines: str, line: str = "GET /jobs HTTP/1.1", without: str = "") -> Any:
    """Status, headers and document of an answer to a request with these header lines."""
    status, headers, body = asked(system, head(system, line, *lines, "Connection: close", without=without))
    return status, headers, json.loads(body) if body else None
