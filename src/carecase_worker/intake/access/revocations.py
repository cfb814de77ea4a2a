"""Revoked credentials: a list in a file, reloaded while the service runs.

# one per line: the kind, a space, the value
jti      01a21195-5341-714a-a2f7-f52d649a206b
token    <SHA-256 of the token up to its last dot, in hex>
sub      j.doe
client   acme
api_key  <SHA-256 of the API key, in hex>
"""

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from threading import Lock

from carecase_worker.clock import monotonic
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.telemetry import logger

_log = logger("intake")


class Revocable(Enum):
    """Kinds of revocable credentials, by their names in the list."""

    JTI = "jti"
    BEARER = "token"
    SUB = "sub"
    CLIENT = "client"
    API_KEY = "api_key"


Entry = tuple[Revocable, str]
_KINDS = {kind.value: kind for kind in Revocable}


def entries_of(text: str) -> tuple[frozenset[Entry], list[int]]:
    """Parse a list; return its entries, and the numbers, from 1, of lines that are not entries."""
    entries, wrong = set(), []
    for number, line in enumerate(text.split("\n"), 1):
        kind, *value = line.split(maxsplit=1)[:2] or ("#",)
        if kind.startswith("#"):
            continue
        if kind in _KINDS and value:
            entries.add((_KINDS[kind], value[0].strip()))
        else:
            wrong.append(number)
    return frozenset(entries), wrong


class Revocations:
    """The entries of a file, reloaded on change every `refresh`; the last ones apply while it cannot be read."""

    def __init__(
        self, file: Path | None, refresh: timedelta = timedelta(), seconds: Callable[[], float] = monotonic
    ) -> None:
        self._file = file
        self._refresh_s = refresh.total_seconds()
        self._seconds = seconds
        self._looked_at = float("-inf")
        self._seen: tuple[int, ...] | None = None
        self._entries: frozenset[Entry] = frozenset()
        self._lock = Lock()
        self._has_changed = False
        self.faults: tuple[str, ...] = ()

    @property
    def looked(self) -> bool:
        """Return whether the file was checked within `refresh`, so that `holds` will not access it."""
        return self._file is None or self._is_fresh()

    def holds(self, kind: Revocable, value: object) -> bool:
        """Return whether a credential is revoked."""
        if self._file is None:
            return False
        self.look(self._file)
        return (kind, value) in self._entries if isinstance(value, str) else False

    def look(self, file: Path) -> None:
        """Reload the list if it has changed; check that at most once per `refresh`."""
        if self._is_fresh():
            return
        with self._lock:
            if self._is_fresh():  # another thread checked it meanwhile
                return
            now = self._seconds()
            try:
                self._read_changed(file)
            except (OSError, ValueError) as error:
                self._seen = None
                self._log_all((f"cannot be read ({getattr(error, 'strerror', None) or 'it is not text'})",))
            self._looked_at = now  # only now: others do not wait any more

    def _is_fresh(self) -> bool:
        return self._looked_at + self._refresh_s > self._seconds()

    def _read_changed(self, file: Path) -> None:
        """Reload the list if it has changed, and once more at the next check: two quick changes may look like one."""
        found = file.stat()
        seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        has_changed, self._seen = seen != self._seen, seen
        if has_changed or self._has_changed:
            self._entries, wrong = entries_of(file.read_text("utf-8"))
            self._log_all(tuple(f"line {number} is not an entry: give kind and value, as jti ID" for number in wrong))
        self._has_changed = has_changed

    def _log_all(self, faults: tuple[str, ...]) -> None:
        for fault in faults if faults != self.faults else ():
            _log.error("jwt.revoked_file has faults", reason=fault)
        self.faults = faults


NOTHING_REVOKED = Revocations(None)
"""The revocations of an installation without a list."""


def revocations_of(settings: JwtSettings) -> Revocations:
    """Make the configured revocations, and load the list for the first time."""
    made = Revocations(settings.revoked_file, settings.revoked_refresh)
    if settings.revoked_file is not None:
        made.look(settings.revoked_file)
    return made
