"""Answers read from a socket by the byte."""

import json
import socket

from tests.builders import a_key_pair

CONFIG = """[intake]
header_timeout_seconds = 2
idle_timeout_seconds = 2
stall_timeout_seconds = 2
max_header_bytes = 8192
cors_origins = ["https://desk.example"]
[jwt]
algorithms = ["HS256", "RS256"]
jwks_file = "issuer.json"
jwks_refetch_seconds = 0.5
audience = "carecase"
issuer = "https://issuer.example"
"""
FOR_US = {"aud": "carecase", "iss": "https://issuer.example"}
OLD, NEW = a_key_pair("RS256"), a_key_pair("RS256")
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
SOON_S = 9
"""Within the defaults of the settings above, and long enough for a busy machine."""


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the service closes the connection; fails if it does not within the socket's timeout."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def problem_in(response: bytes) -> int:
    head, _, body = response.partition(b"\r\n\r\n")
    document = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {document['error']['status']} ".encode())
    assert document["data"] is None
    return int(document["error"]["status"])
