"""HTTP to the servers of these tests, without TLS.

What httpx prepares for TLS reads every certificate authority of the machine, anew for each client: a test that asks
until something is so would spend most of the processor on that.
"""

import ssl
from typing import Any

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""A context that trusts nobody."""
_TIMEOUT_S = 60.0
"""The default of httpx, 5 s, is too short on a busy machine."""


def http_get(url: str, timeout: float = _TIMEOUT_S, **options: Any) -> httpx.Response:
    """Get a resource on a connection of its own; `timeout` is in seconds. Raises httpx.TransportError."""
    return httpx.get(url, verify=_NO_TLS, timeout=timeout, **options)


def http_client(timeout: float = _TIMEOUT_S, **options: Any) -> httpx.Client:
    """A client that keeps connections, cookies and headers; `timeout` is in seconds."""
    return httpx.Client(verify=_NO_TLS, timeout=timeout, **options)
