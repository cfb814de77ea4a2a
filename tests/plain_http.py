"""HTTP to the servers of these tests, without TLS.

What httpx prepares for TLS reads every certificate authority of the machine, anew for each client: a test that asks
until something is so would spend most of the processor on that.
"""

import ssl
from typing import Any

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""A context that trusts nobody."""
_PATIENCE = {"timeout": 60}
"""Of httpx, it is five seconds: not long on a machine that has more to do."""


def http_get(url: str, **options: Any) -> httpx.Response:
    """Get a resource, by a connection of its own."""
    return httpx.get(url, verify=_NO_TLS, **_PATIENCE | options)


def http_client(**options: Any) -> httpx.Client:
    """A client that keeps connections, cookies and headers."""
    return httpx.Client(verify=_NO_TLS, **_PATIENCE | options)
