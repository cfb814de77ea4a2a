"""Records of the audit log: a line of JSON each, whose digest covers the digest of the one before. No I/O.

    {"number":2,…,"previous":"<hash of record 1>","hash":"<digest of the text before this member>"}

The digest is SHA-256; with a key, whose id is in the record, it is HMAC-SHA-256 by that key.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec

_BEFORE_HASH = b',"hash":"'
_AFTER_HASH = b'"}'
_DIGEST = re.compile("[0-9a-f]{64}")


class Event(Enum):
    """The kinds of access to cases."""

    SENT = "sent"  # a batch, to be applied
    DRY_RUN = "dry_run"  # a batch, to be applied and rolled back
    VALIDATED = "validated"  # a batch, to be held to the rules and not kept
    READ = "read"  # outcomes, with the keys of their cases
    CANCELLED = "cancelled"  # a job, by its client
    RETRIED = "retried"  # the items of a job, as a job of their own
    PURGED = "purged"  # a job's payloads and result, before their time
    VOID = "void"  # the access in this request's last record of the same job did not take place


@dataclass(frozen=True, slots=True)
class Act:
    """An access to cases: the client, subject and address that made it; the job and the number of its items."""

    event: Event
    client: str
    subject: str
    peer: str | None
    database: str | None = None
    job: str | None = None
    count: int | None = None
    activity: str | None = None

    def members(self) -> dict[str, Any]:
        """Return the act's own members of its record."""
        return {"event": self.event.value, **{name: getattr(self, name) for name in self.__slots__[1:]}}


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the number of its last record, counted from 1, and that record's hash."""

    number: int
    hash: str


BEGINNING = Head(0, "0" * 64)
"""The end of a chain without records."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the digests, and its id in the records."""

    id: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A record parsed from a line: its position in the chain, its members, and the text that its digest covers."""

    head: Head
    previous: str
    members: Mapping[str, Any]
    text: bytes

    def digest(self, secret: bytes | None) -> str:
        """Return the digest that the record should have, with a key or without."""
        return _digest(self.text, secret)


def chained(head: Head, at: datetime, members: Mapping[str, Any], key: Key | None) -> tuple[bytes, Head]:
    """Return the next line of a chain, and the chain's end after it."""
    record: dict[str, Any] = {"number": head.number + 1, "at": _rfc3339(at), **members}
    if key is not None:
        record["key"] = key.id
    text = msgspec.json.encode({**record, "previous": head.hash})[:-1]
    digest = _digest(text, key.secret if key else None)
    return text + _BEFORE_HASH + digest.encode() + _AFTER_HASH + b"\n", Head(head.number + 1, digest)


def mended(fragment: bytes) -> dict[str, Any]:
    """Return the members of the record that follows a line truncated by a crash."""
    return {"event": "mended", "bytes": len(fragment), "sha256": hashlib.sha256(fragment).hexdigest()}


def record_of(line: bytes) -> Record | None:
    """Read a line, with or without its newline, as a record; return None if it is not one."""
    text, found, rest = line.removesuffix(b"\n").rpartition(_BEFORE_HASH)
    digest = rest.removesuffix(_AFTER_HASH).decode("latin-1")
    if not found or not rest.endswith(_AFTER_HASH) or not _DIGEST.fullmatch(digest):
        return None
    try:
        members = msgspec.json.decode(text + b"}")
    except ValueError:  # the decoder's own error, and text that is not UTF-8
        return None
    number, previous = (members.get(name) for name in ("number", "previous")) if isinstance(members, dict) else (0, "")
    if not isinstance(number, int) or number < 1 or not isinstance(previous, str):
        return None
    return Record(Head(number, digest), previous, members, text)


def _digest(text: bytes, secret: bytes | None) -> str:
    return hashlib.sha256(text).hexdigest() if secret is None else hmac.digest(secret, text, "sha256").hex()


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
