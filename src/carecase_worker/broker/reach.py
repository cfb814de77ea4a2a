"""A check of the broker's address by a new connection, independent of the existing ones."""

import socket
from datetime import timedelta
from urllib.parse import urlsplit

_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


def takes_connections(url: str, timeout: timedelta) -> bool:
    """Return whether one of the broker's servers accepts connections; a Unix socket always counts as accepting."""
    for one in url.split(";"):
        parts = urlsplit(one)
        port = parts.port or _PORTS.get(parts.scheme)
        if not parts.hostname or not port:
            return True
        try:
            socket.create_connection((parts.hostname, port), timeout.total_seconds()).close()
        except OSError:
            continue
        return True
    return False
