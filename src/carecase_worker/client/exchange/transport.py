"""Conversion of requests and responses for httpx, shared by both clients."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, TypeVar

import httpx
from anyio.to_thread import run_sync

from carecase_worker.client.access import Access
from carecase_worker.client.exchange.steps import Body, NoResponse, Request, Response
from carecase_worker.errors import ClientError

_C = TypeVar("_C")

NO_ANSWER = httpx.RequestError

_CONNECT = timedelta(seconds=5)


def opened(kind: Callable[..., _C], access: Access) -> _C:
    """Make an httpx client of a kind for the service. Raises ClientError for a bad URL, credential or proxy."""
    options = http_options(access)
    try:
        return kind(**options)
    except (ValueError, OSError, httpx.InvalidURL) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ClientError(
            f"No connection can be prepared ({reason}). Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE and"
            " SSL_CERT_DIR, if they are set."
        ) from None


def http_options(access: Access) -> dict[str, Any]:
    """Make the options of an httpx client for the service. Raises ClientError for a bad URL or credential."""
    url = _url(access.url)
    for name, value in (("API key", access.api_key), ("token", access.token), ("database's name", access.database)):
        if value and not re.fullmatch("[!-~]+", value):
            raise ClientError(f"The {name} has a space or another invalid character. Copy it again, and nothing else.")
    headers = {"User-Agent": "carecase-worker", "Accept": "application/json"}
    if access.api_key:
        headers["x-api-key"] = access.api_key
    if access.token:
        headers["Authorization"] = f"Bearer {access.token}"
    return {"base_url": url, "headers": headers, "trust_env": not _is_here(url.host)}  # no proxy for this machine


def leads_elsewhere(access: Access) -> bool:
    """Return whether the service is on another machine, as far as the URL shows."""
    return not _is_here(_url(access.url).host)


def is_plain(access: Access) -> bool:
    """Return whether requests are sent unencrypted to another machine."""
    return _url(access.url).scheme == "http" and leads_elsewhere(access)


def shown_url(access: Access) -> str:
    """Return the URL without user and password, so that it may be shown."""
    return str(_url(access.url).copy_with(userinfo=b""))


def arguments(request: Request) -> dict[str, Any]:
    """Convert a request, without its body, to arguments of httpx."""
    seconds = (request.silence + request.long_poll).total_seconds()
    connect = min(_CONNECT, request.silence).total_seconds()
    timeout = httpx.Timeout(seconds, connect=connect)
    return {
        "method": request.method,
        "url": request.path,
        "headers": dict(request.headers),
        "params": dict(request.parameters) or None,
        "timeout": timeout,
    }


def content(body: Body | None, moved: Callable[[], None]) -> bytes | Iterator[bytes] | None:
    """Convert a body for httpx.Client; it calls `moved` whenever a piece has been sent."""
    return _reporting(body(), moved) if callable(body) else body


def async_content(body: Body | None) -> bytes | AsyncIterator[bytes] | None:
    """Convert a body for httpx.AsyncClient; its pieces are read in threads."""
    return _read_in_threads(body()) if callable(body) else body


def answer(response: httpx.Response) -> Response:
    """Convert a response whose content has been read."""
    return Response(response.status_code, dict(response.headers), response.content)


def cut_off(response: httpx.Response) -> Response:
    """Convert a response whose content was taken piece by piece, whether it was whole or cut off."""
    return Response(response.status_code, dict(response.headers))


def no_answer(error: httpx.RequestError, request: Request) -> NoResponse:
    """Convert an error of httpx, for a request that got no response."""
    if not isinstance(error, httpx.TimeoutException):
        return NoResponse(type(error).__name__)
    limit = min(_CONNECT, request.silence) if isinstance(error, httpx.ConnectTimeout) else request.silence
    return NoResponse(f"{type(error).__name__}: no data for {limit.total_seconds():g} s", limit)


def _reporting(pieces: Iterator[bytes], moved: Callable[[], None]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        moved()


async def _read_in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await run_sync(next, pieces, b""):
        yield piece


def _is_here(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text.strip())
        url.host.encode("idna")  # as the look-up of its address does
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or (url.port is not None and not 0 < url.port < 65536):
        raise ClientError("Not a valid service URL. Give one like https://host or http://127.0.0.1:8080")
    return url
