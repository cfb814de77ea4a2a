"""The public keys of whoever issues the bearer tokens (JWKS, RFC 7517): held here, read again when they change."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from http.client import HTTPException
from threading import BoundedSemaphore, Lock, Thread
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, build_opener

import jwt
from jwt import PyJWK

from carecase_worker.clock import stopwatch
from carecase_worker.errors import KeysUnavailable
from carecase_worker.settings.access import JwtSettings
from carecase_worker.telemetry import logger

_log = logger("intake")
_PATIENCE = timedelta(seconds=3)
_MOST_BYTES = 1 << 20
_WAITERS = 6
"""Threads that may wait for the issuer at a time: fewer than one address has of those that look at credentials."""
_LATER = "The bearer token cannot be checked just now. Send the request again later."
_PUBLIC = ("RSA", "EC")
_RSA_BITS = 2048
"""NIST SP 800-131A allows no shorter one, and RFC 7518 neither."""


class Jwks:
    """The keys by their ids. What is held goes on when `read` fails or hangs: nobody waits longer than `patience`."""

    def __init__(
        self,
        read: Callable[[], bytes],
        refresh: timedelta,
        refetch: timedelta,
        patience: timedelta = _PATIENCE,
        seconds: Callable[[], float] = stopwatch,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._refresh_s = refresh.total_seconds()
        self._refetch_s = refetch.total_seconds()
        self._patience_s = patience.total_seconds()
        self._keys: Mapping[str | None, PyJWK] | None = None
        self._tried_at = float("-inf")
        self._reader: Thread | None = None
        self._lock = Lock()
        self.short_keys = 0
        self._waiting = BoundedSemaphore(_WAITERS)

    def find(self, key_id: str | None) -> PyJWK | None:
        """The key of that id, if there is one. Raises KeysUnavailable while none could be read yet.

        An id that is not held makes the keys be read again, but not sooner than `refetch` after the last time: so a
        new key is found at once, and made-up ids cost nothing.
        """
        held = self._keys
        if held is None or key_id not in held:
            self._read_again(self._refetch_s, wait=True)
        else:
            self._read_again(self._refresh_s, wait=False)
        if self._keys is None:
            raise KeysUnavailable(_LATER)
        return self._keys.get(key_id)

    def holds(self, key_id: str | None, key: object) -> bool:
        """Tell if a key that was found before is still the one of its id, and have it looked for anew in its time."""
        self._read_again(self._refresh_s, wait=False)
        return self._keys is not None and self._keys.get(key_id) is key

    def _read_again(self, after_s: float, wait: bool) -> None:
        """Have one thread read the keys, unless that was tried less than so long ago. It may hang: it holds nobody."""
        with self._lock:
            if (self._reader is None or not self._reader.is_alive()) and self._seconds() - self._tried_at >= after_s:
                self._tried_at = self._seconds()
                self._reader = Thread(target=self._read_once, name="key set", daemon=True)
                self._reader.start()
            reader, tried_for_s = self._reader, self._seconds() - self._tried_at
        if wait and reader is not None and tried_for_s < self._patience_s:
            self._wait_for(reader)

    def _wait_for(self, reader: Thread) -> None:
        """Wait, but never with all threads of the intake: known keys need some. Raises KeysUnavailable."""
        if not self._waiting.acquire(blocking=False):
            raise KeysUnavailable(_LATER)
        try:
            reader.join(self._patience_s)
        finally:
            self._waiting.release()

    def _leave_out(self, count: int) -> None:
        self.short_keys = count
        if count:
            _log.warning("keys of the tokens' issuer are left out: RSA below 2048 bits", count=count)

    def _read_once(self) -> None:
        try:
            self._keys = keys_of(self._read(), self._leave_out)
        except (OSError, ValueError) as error:
            _log.warning("the keys of the tokens' issuer cannot be read", reason=type(error).__name__)


def _never_mind(_: int) -> None:
    """Take no notice."""


def keys_of(document: bytes, left_out: Callable[[int], None] = _never_mind) -> dict[str | None, PyJWK]:
    """The signature keys of a JWKS by their ids, without those that we cannot use. Raises ValueError.

    `left_out` is called with how many RSA keys are too short to be believed.
    """
    short = 0
    keys: dict[str | None, PyJWK] = {}
    held = json.loads(document)
    described_keys = held.get("keys") if isinstance(held, dict) else None
    for described in described_keys if isinstance(described_keys, list) else ():
        if (
            not isinstance(described, dict)
            or described.get("kty") not in _PUBLIC
            or described.get("use", "sig") != "sig"
        ):
            continue
        try:
            key = PyJWK(described)
        except (jwt.PyJWTError, TypeError):
            continue
        if key.key_type == "RSA" and key.key.key_size < _RSA_BITS:
            short += 1
        else:
            keys[described.get("kid")] = key
    left_out(short)
    if not keys:
        raise ValueError("no key that can be used")
    return keys


def jwks_of(settings: JwtSettings) -> Jwks | None:
    """The configured key set; None if there is none."""
    file, url = settings.jwks_file, settings.jwks_url
    if file is not None:
        return Jwks(file.read_bytes, settings.jwks_refresh, settings.jwks_refetch)
    if url is not None:
        return Jwks(lambda: _fetch(url), settings.jwks_refresh, settings.jwks_refetch)
    return None


class _NoRedirect(HTTPRedirectHandler):
    """Keys are trusted because of where they come from, so they come from nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _fetch(url: str) -> bytes:
    try:
        with build_opener(_NoRedirect).open(url, timeout=_PATIENCE.total_seconds()) as answer:
            document = bytes(answer.read(_MOST_BYTES + 1))
    except (URLError, HTTPException) as error:
        raise OSError(type(error).__name__) from None
    if len(document) > _MOST_BYTES:
        raise ValueError("too long")
    return document
