"""Requests to httpx and its responses to answers: what both kinds of client have in common with HTTP."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
from anyio.to_thread import run_sync

from carecase_worker.client.access import Access
from carecase_worker.client.steps import Answer, Body, NoAnswer, Request
from carecase_worker.errors import ClientError

NO_ANSWER = httpx.RequestError

_USUAL = timedelta(seconds=60)
_CONNECT = timedelta(seconds=5)
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")  # no proxy leads there


def http_options(access: Access) -> dict[str, Any]:
    """What an httpx client for the service is made with. Raises ClientError for a URL that is none."""
    url = _url(access.url)
    headers = {"User-Agent": "carecase-worker", "Accept": "application/json"}
    if access.api_key:
        headers["x-api-key"] = access.api_key
    if access.token:
        headers["Authorization"] = f"Bearer {access.token}"
    return {"base_url": url, "headers": headers, "trust_env": url.host not in _THIS_MACHINE}


def shown_url(access: Access) -> str:
    """The URL as it may be shown: without a password."""
    return str(_url(access.url).copy_with(userinfo=b""))


def arguments(request: Request) -> dict[str, Any]:
    """What httpx takes for a request, but for its body."""
    timeout = httpx.Timeout((_USUAL + request.held).total_seconds(), connect=_CONNECT.total_seconds())
    return {
        "method": request.method,
        "url": request.path,
        "headers": dict(request.headers),
        "params": dict(request.parameters) or None,
        "timeout": timeout,
    }


def content(body: Body | None) -> bytes | Iterator[bytes] | None:
    """A body as httpx.Client takes it."""
    return body() if callable(body) else body


def async_content(body: Body | None) -> bytes | AsyncIterator[bytes] | None:
    """A body as httpx.AsyncClient takes it."""
    return _read_in_threads(body()) if callable(body) else body


def answer(response: httpx.Response) -> Answer:
    """A response that has been read."""
    return Answer(response.status_code, dict(response.headers), response.content)


def no_answer(error: httpx.RequestError) -> NoAnswer:
    """A request to which there was none."""
    return NoAnswer(type(error).__name__)


async def _read_in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await run_sync(next, pieces, b""):
        yield piece


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ClientError("The service's URL is none. Give one like https://host or http://127.0.0.1:8080")
    return url
