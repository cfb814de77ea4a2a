"""One attempt to send a message: the name is resolved once, and the connection is made to the checked address.

Redirects are not followed, proxies of the environment are not used, and only the head of the response is read.
"""

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from io import BufferedReader, RawIOBase
from threading import Timer
from typing import Any, cast
from urllib.parse import urlsplit

from carecase_worker.clock import monotonic
from carecase_worker.settings.sections.webhooks import DeliverySettings
from carecase_worker.worker.webhooks.addresses import permitted
from carecase_worker.worker.webhooks.messages import Message

_HEAD_BYTES = 128 << 10
"""Bytes that are read of a response, interim ones (100) included."""

Resolve = Callable[[str, int], Sequence[str]]
"""A function that returns the addresses of a host."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of an attempt: the status, or else a reason; and the delay that the receiver requests."""

    status: int | None = None
    reason: str = ""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """The sender of messages."""

    settings: DeliverySettings
    resolve: Resolve
    context: ssl.SSLContext

    def send(self, url: str, message: Message, now: datetime) -> Reply:
        """Post a message; a failed attempt returns a reply with a reason."""
        parts = urlsplit(url)
        is_encrypted = parts.scheme == "https"
        host, port = str(parts.hostname), parts.port or (443 if is_encrypted else 80)
        began = monotonic()
        try:
            addresses = self.resolve(host, port)
        except (OSError, UnicodeError):
            return Reply(reason="name not resolved")
        address = permitted(addresses, self.settings.private_networks, is_encrypted)
        if address is None:
            return Reply(reason="address not permitted")
        try:
            return self._post((address, port), url, message, now, began + self.settings.timeout.total_seconds())
        except ssl.SSLCertVerificationError:
            return Reply(reason="certificate not trusted")
        # a timeout is an OSError, and one of the whole attempt closes the connection; the rest is a receiver's nonsense
        except (OSError, HTTPException, ValueError, ArithmeticError):
            is_late = monotonic() - began >= self.settings.timeout.total_seconds()
            return Reply(reason="timeout" if is_late else "connection failed")

    def _post(self, address: tuple[str, int], url: str, message: Message, now: datetime, until: float) -> Reply:
        parts, seconds = urlsplit(url), _left(until)
        connected = socket.create_connection(address, seconds)
        current = [connected]
        # a receiver that sends a byte now and then reaches no timeout
        late = Timer(_left(until), lambda: _shut(current[0]))
        late.daemon = True
        late.start()
        try:
            if parts.scheme == "https":
                encrypted = self.context.wrap_socket(
                    connected, server_hostname=parts.hostname, do_handshake_on_connect=False
                )
                current[0] = connected = encrypted
                encrypted.do_handshake()
            connection = HTTPConnection(*address, timeout=seconds)
            connection.sock = cast(socket.socket, _Bounded(connected))
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {**message.headers, "host": parts.netloc, "connection": "close"}
            connection.request("POST", target, message.body, headers)
            response = connection.getresponse()
            return Reply(response.status, retry_after=retry_after(response.getheader("retry-after"), now))
        finally:
            late.cancel()
            connected.close()


class _Bounded(RawIOBase):
    """A socket for `http.client` that limits the bytes read, since interim responses may never end."""

    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        self._left = _HEAD_BYTES

    def sendall(self, data: bytes) -> None:
        """Send bytes."""
        self._connected.sendall(data)

    def makefile(self, _: str) -> BufferedReader:
        """Return a file of what is received."""
        return BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive bytes. Raises HTTPException if there may be no more."""
        if not self._left:
            raise HTTPException
        size = self._connected.recv_into(memoryview(buffer)[: self._left])
        self._left -= size
        return size

    def close(self) -> None:
        """Leave the socket open: whoever opened it closes it."""


def resolve_by_system(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """Return the delay of a Retry-After header, in seconds or until a date; None without a valid one."""
    if header is None:
        return None
    if header.isascii() and header.isdigit() and len(header) <= 9:
        return timedelta(seconds=int(header))
    with suppress(ValueError, TypeError, ArithmeticError):
        return max(parsedate_to_datetime(header) - now, timedelta(0))
    return None


def _left(until: float) -> float:
    """Return the remaining seconds of an attempt. Raises TimeoutError if there are none."""
    seconds = until - monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
