"""Forwarding headers of proxies: the path prefix under which clients see the service, and the clients' addresses."""

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from carecase_worker.intake.http.middleware.access_log import CONNECTED, plain_address
from carecase_worker.intake.http.middleware.header_lines import Headers
from carecase_worker.settings.kinds import path_segments

_MAPPED_BITS = 96
_PREFIX_HEADER, _HOPS_HEADER = b"x-forwarded-prefix", b"x-forwarded-for"
_LONGEST_HOPS = 1000
"""Only the last so many characters of X-Forwarded-For are read: a proxy appends the address that it knows."""


class Forwarded:
    """ASGI middleware that puts prefix, client and scheme into the scope; only configured proxies are trusted.

    The prefix is the one that a trusted proxy sends, or else the configured one. The proxy may have removed it from the
    path or not. Afterwards `path` begins with it and `root_path` is it, as ASGI requires.
    """

    def __init__(self, app: ASGIApp, root_path: str, trusted_proxies: Sequence[str]) -> None:
        self._app = app
        self._root_path = root_path
        self._trusted = [_plain_network(proxy) for proxy in trusted_proxies]
        # uvicorn and Starlette have types of their own for the same ASGI application
        self._behind_proxy = ProxyHeadersMiddleware(app, list(map(str, self._trusted)))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["client"]:
            scope["client"] = (plain_address(scope["client"][0]), scope["client"][1])
            scope[CONNECTED] = scope["client"][0]
        is_trusted = self._trusts(scope)
        prefix = (_sent_prefix(scope) if is_trusted else None) or self._root_path
        if prefix:
            path = scope["path"]
            has_prefix = path == prefix or path.startswith(f"{prefix}/")
            scope["path"] = path if has_prefix else prefix + path
            scope["root_path"] = prefix
        if is_trusted:
            scope["headers"] = _with_last_hops(scope["headers"])
        await (self._behind_proxy if is_trusted else self._app)(scope, receive, send)  # type: ignore[arg-type]

    def _trusts(self, scope: Scope) -> bool:
        if not self._trusted or not scope["client"]:
            return False
        peer = ip_address(scope["client"][0])
        return any(peer in network for network in self._trusted)


def _plain_network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ip_network((mapped, network.prefixlen - _MAPPED_BITS))


def _with_last_hops(headers: Headers) -> Headers:
    """Cut a long list of hops at its beginning, between two addresses."""
    hops = b", ".join(value for name, value in headers if name == _HOPS_HEADER)
    if len(hops) <= _LONGEST_HOPS:
        return headers
    last = hops[-_LONGEST_HOPS:].partition(b",")[2]
    return [*((name, value) for name, value in headers if name != _HOPS_HEADER), (_HOPS_HEADER, last)]


def _sent_prefix(scope: Scope) -> str | None:
    """Return the prefix that a proxy sends; None if there is none, or it is not a valid path."""
    for name, value in scope["headers"]:
        if name == _PREFIX_HEADER:
            with suppress(ValueError):
                return f"/{path_segments(value.decode('latin-1').strip())}"
    return None
