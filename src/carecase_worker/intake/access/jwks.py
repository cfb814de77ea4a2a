"""Cache of the token issuer's public keys (JWKS, RFC 7517)."""

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

from carecase_worker.clock import monotonic
from carecase_worker.errors import KeysUnavailable
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.telemetry import logger

_log = logger("intake")
_TIMEOUT = timedelta(seconds=3)
MOST_BYTES = 1 << 20
_WAITERS = 6
"""Maximum number of threads that wait for the issuer: fewer than one address has for checking credentials."""
_LATER = "The bearer token cannot be verified at the moment. Send the request again later."
_PUBLIC = ("RSA", "EC")
_RSA_BITS = 2048
"""The shortest RSA key that NIST SP 800-131A and RFC 7518 allow, in bits."""


class Jwks:
    """A cache of the keys by id. If `read` fails or hangs, the old keys remain in use.

    Callers wait for at most `timeout`.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        refresh: timedelta,
        refetch: timedelta,
        timeout: timedelta = _TIMEOUT,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._refresh_s = refresh.total_seconds()
        self._refetch_s = refetch.total_seconds()
        self._timeout_s = timeout.total_seconds()
        self._keys: Mapping[str | None, PyJWK] | None = None
        self._tried_at = float("-inf")
        self._reader: Thread | None = None
        self._lock = Lock()
        self.short_keys = 0
        self._waiting = BoundedSemaphore(_WAITERS)

    def find(self, key_id: str | None) -> PyJWK | None:
        """Return the key with an id; None if there is none. Raises KeysUnavailable until the first keys have been read.

        An unknown id triggers a refetch, but not sooner than `refetch` after the last one: so a new key is found at
        once, and made-up ids cause no load.
        """
        keys = self._keys
        if keys is None or key_id not in keys:
            self._read_again(self._refetch_s, wait=True)
        else:
            self._read_again(self._refresh_s, wait=False)
        if self._keys is None:
            raise KeysUnavailable(_LATER)
        return self._keys.get(key_id)

    def holds(self, key_id: str | None, key: object) -> bool:
        """Return whether a key found before is still current; start a refresh if one is due."""
        self._read_again(self._refresh_s, wait=False)
        return self._keys is not None and self._keys.get(key_id) is key

    def _read_again(self, after_s: float, wait: bool) -> None:
        """Start one thread that reads the keys, unless the last try is less than `after_s` ago; `wait` for it."""
        with self._lock:
            if (self._reader is None or not self._reader.is_alive()) and self._seconds() - self._tried_at >= after_s:
                self._tried_at = self._seconds()
                self._reader = Thread(target=self._read_once, name="key set", daemon=True)
                self._reader.start()
            reader, tried_for_s = self._reader, self._seconds() - self._tried_at
        if wait and reader is not None and tried_for_s < self._timeout_s:
            self._wait_for(reader)

    def _wait_for(self, reader: Thread) -> None:
        """Wait for a read, with at most `_WAITERS` threads: the others are left to tokens with known keys.

        Raises KeysUnavailable.
        """
        if not self._waiting.acquire(blocking=False):
            raise KeysUnavailable(_LATER)
        try:
            reader.join(self._timeout_s)
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
    """Ignore the number of keys that are left out."""


def keys_of(document: bytes, left_out: Callable[[int], None] = _never_mind) -> dict[str | None, PyJWK]:
    """Return the usable signature keys of a JWKS by their ids. Raises ValueError if there are none.

    `left_out` is called with the number of RSA keys that are too short to be trusted.
    """
    short = 0
    keys: dict[str | None, PyJWK] = {}
    try:
        key_set = json.loads(document)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    described_keys = key_set.get("keys") if isinstance(key_set, dict) else None
    for described in described_keys if isinstance(described_keys, list) else ():
        if not isinstance(described, dict) or not isinstance(key_id := described.get("kid"), str | None):
            continue
        if described.get("kty") not in _PUBLIC or described.get("use", "sig") != "sig":
            continue
        try:
            key = PyJWK(described)
        except (jwt.PyJWTError, TypeError):
            continue
        if key.key_type == "RSA" and key.key.key_size < _RSA_BITS:
            short += 1
        else:
            keys[key_id] = key
    left_out(short)
    if not keys:
        raise ValueError("no key that can be used")
    return keys


def jwks_of(settings: JwtSettings) -> Jwks | None:
    """Make the configured JWKS; None if there is none."""
    file, url = settings.jwks_file, settings.jwks_url
    if file is not None:
        return Jwks(file.read_bytes, settings.jwks_refresh, settings.jwks_refetch)
    if url is not None:
        return Jwks(lambda: _fetch(url), settings.jwks_refresh, settings.jwks_refetch)
    return None


class _NoRedirect(HTTPRedirectHandler):
    """A handler that rejects redirects: keys are trusted because of the URL that they come from."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def opened(url: str, form: bytes | None = None, origin: str | None = None) -> Any:
    """Ask an issuer, and follow no redirect; return its answer, open. Raises URLError, HTTPException.

    A `form` is posted; `origin` is that of the page that a browser would ask for.
    """
    opener = build_opener(_NoRedirect)
    if origin is not None:
        opener.addheaders.append(("Origin", origin))
    return opener.open(url, form, timeout=_TIMEOUT.total_seconds())


def _fetch(url: str) -> bytes:
    try:
        with opened(url) as answer:
            document = bytes(answer.read(MOST_BYTES + 1))
    except (URLError, HTTPException) as error:
        raise OSError(type(error).__name__) from None
    if len(document) > MOST_BYTES:
        raise ValueError("too long")
    return document
