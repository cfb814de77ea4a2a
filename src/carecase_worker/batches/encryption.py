"""Encryption of payloads and results at rest in Redis: AES-256-GCM with a data key per job (envelope encryption).

Sealed text has format 17: the format byte, a 12-byte nonce, then the ciphertext and its tag. Its kind, job and chunk
are its associated data, so it can be opened for these alone.

The data key is stored in the job's record, wrapped with one of the configured keys, as base64 of: the format byte, the
length of that key's id in a byte, the id, 8 bytes that identify the key itself, a 12-byte nonce, then the ciphertext of
the data key, the digest of the body as sent, and the Idempotency-Key, with the job's facts as associated data.

Format 16 is from older versions: payloads encrypted directly with a configured key, with job and chunk as associated
data.
"""

import base64
import hashlib
import hmac
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carecase_worker.batches.binding import Binding, Mark, Order, shared
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.errors import PayloadUnreadable, SealBroken

_WRAPPED, _FORM_16, _FORM_17 = 1, b"\x10", b"\x11"
_HEAD_16 = struct.Struct("<BIB")
_KEY_BYTES, _CHECK_BYTES, _DIGEST_BYTES = 32, 8, 32
_NONCE_BYTES = 12  # by chance: fine for 2**32 texts under one key, NIST SP 800-38D
_HMAC_BLOCK_BYTES = 64
_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))


class Kind(Enum):
    """The kinds of texts that are sealed."""

    PAYLOAD = b"payload"
    RESULT = b"result"
    KEYS = b"keys"


class Opener(Protocol):
    """The sealing and opening of one job's texts."""

    def seal(self, kind: Kind, chunk: ChunkRef, text: bytes) -> bytes:
        """Seal a text of a chunk for Redis."""
        ...

    def open(self, kind: Kind, chunk: ChunkRef, sealed: bytes) -> bytes:
        """Open a sealed text of a chunk.

        Raises SealBroken, or PayloadUnreadable if an older version sealed it with a key that is not configured.
        """
        ...

    def require_order(self, order: Order, signature: str) -> None:
        """Raise SealBroken unless `admit` has signed this place in the order of acceptance."""
        ...


class DataKey:
    """The data key of one job: seals its payloads and results, and signs its place in the order of acceptance."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._cipher = AESGCM(raw)

    @classmethod
    def new(cls) -> "DataKey":
        """Return a new random key."""
        return cls(secrets.token_bytes(_KEY_BYTES))

    def seal(self, kind: Kind, chunk: ChunkRef, text: bytes) -> bytes:
        """Seal a text of a chunk for Redis."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM_17 + nonce + self._cipher.encrypt(nonce, text, _place(kind, chunk))

    def open(self, kind: Kind, chunk: ChunkRef, sealed: bytes) -> bytes:
        """Open a sealed text of a chunk. Raises SealBroken."""
        if sealed[:1] != _FORM_17:
            raise SealBroken(f"the {kind.value.decode()} of the chunk is not sealed with the job's data key")
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, _place(kind, chunk))
        except (InvalidTag, ValueError):
            text = f"the {kind.value.decode()} of the chunk was modified, or belongs to another chunk or job"
            raise SealBroken(text) from None

    def order_blocks(self) -> tuple[bytes, bytes]:
        """Return the inner and outer HMAC-SHA-1 block (RFC 2104) with which `admit` signs the order.

        SHA-1, because Lua in Redis offers no other hash.
        """
        block = self._order_key().ljust(_HMAC_BLOCK_BYTES, b"\0")
        return block.translate(_INNER), block.translate(_OUTER)

    def require_order(self, order: Order, signature: str) -> None:
        """Raise SealBroken unless `admit` has signed this place in the order of acceptance."""
        signed = hmac.digest(self._order_key(), order.noted().encode(), "sha1").hex()
        if (order.moved or 0) < 0 or not hmac.compare_digest(signed.encode(), signature.encode()):
            raise SealBroken("the job's place in the order of acceptance, or its time of acceptance, was modified")

    def _order_key(self) -> bytes:
        return _derived(self.raw, b"order")


class _NoDataKey:
    """Null object for a job without a data key: it seals nothing, and opens texts that older versions sealed."""

    def __init__(self, keys: Mapping[str, "_WrappingKey"]) -> None:
        self._keys = keys

    def seal(self, kind: Kind, chunk: ChunkRef, text: bytes) -> bytes:
        del kind, chunk
        return text

    def open(self, kind: Kind, chunk: ChunkRef, sealed: bytes) -> bytes:
        if kind is not Kind.PAYLOAD or sealed[:1] != _FORM_16:
            return sealed
        start = _HEAD_16.size + (sealed[_HEAD_16.size - 1] if len(sealed) >= _HEAD_16.size else 0)
        head, nonce, rest = sealed[:start], sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        key = _key_named(self._keys, head[_HEAD_16.size :].decode("ascii", "replace"))
        try:
            return key.direct.decrypt(nonce, rest, head + f"{chunk.job_id}:{chunk.chunk_no}".encode())
        except (InvalidTag, ValueError):
            raise _other_key(key.key_id) from None

    def require_order(self, order: Order, signature: str) -> None:
        del order, signature


@dataclass(frozen=True, slots=True)
class _WrappingKey:
    """A configured key, and the keys derived from it.

    `direct` is the key itself, for texts of older versions; `wraps` wraps data keys; `digests` keys the digests of
    requests; `check` identifies the key.
    """

    key_id: str
    direct: AESGCM
    wraps: AESGCM
    digests: bytes
    check: bytes

    @property
    def head(self) -> bytes:
        """The bytes before a data key wrapped with this key."""
        return bytes((_WRAPPED, len(self.key_id))) + self.key_id.encode() + self.check

    @classmethod
    def of(cls, key_id: str, key: bytes) -> "_WrappingKey":
        wraps, digests, check = (_derived(key, purpose) for purpose in (b"wrap", b"digests", b"check"))
        return cls(key_id, AESGCM(key), AESGCM(wraps), digests, check[:_CHECK_BYTES])


@dataclass(frozen=True, slots=True)
class Opened:
    """A job's unwrapped data key, with the body's digest and the Idempotency-Key that were wrapped with it."""

    key: Opener
    body_sha256: str = ""
    idempotency_key: str | None = None


class Seals:
    """The configured keys: the first one wraps the data keys of new jobs, all unwrap. Without keys nothing is sealed.

    If sealing is `required`, a job without a data key is as unreadable as one whose wrapping key is missing.
    """

    def __init__(self, keys: Mapping[str, bytes], required: bool = True) -> None:
        self._keys = {key_id: _WrappingKey.of(key_id, key) for key_id, key in keys.items()}
        self._own = next(iter(self._keys.values()), None)
        self._required = required and bool(keys)

    def new_key(self) -> DataKey | None:
        """Return a data key for a new job; None if no keys are configured to wrap it with."""
        return DataKey.new() if self._own else None

    def wrap(self, key: DataKey, binding: Binding, body_sha256: str, idempotency_key: str | None = None) -> str:
        """Wrap a job's data key for its record, with the body's digest and the Idempotency-Key."""
        own, *_ = self._keys.values()  # there is a data key only where there are keys
        head, nonce = own.head, secrets.token_bytes(_NONCE_BYTES)
        facts = bytes.fromhex(body_sha256) + (b"" if idempotency_key is None else b"=" + idempotency_key.encode())
        sealed = own.wraps.encrypt(nonce, key.raw + facts, head + binding.digest())
        return base64.b64encode(head + nonce + sealed).decode()

    def opened(self, wrapped: str, binding: Binding) -> Opened:
        """Unwrap the data key of a job, from its record.

        Raises SealBroken if the record was modified, PayloadUnreadable if the key that wraps it is not configured.
        """
        if not wrapped:
            if self._required:
                raise PayloadUnreadable(
                    "the job is not sealed, and encryption.required is on; if it was sent before keys were set, or"
                    " before an upgrade, set encryption.required = false until such jobs are done; else cancel it"
                )
            return Opened(_NoDataKey(self._keys))
        head, nonce, rest = _parts(wrapped)
        key = _key_named(self._keys, head[2:-_CHECK_BYTES].decode("ascii", "replace"))
        if head[-_CHECK_BYTES:] != key.check:
            raise _other_key(key.key_id)
        try:
            text = key.wraps.decrypt(nonce, rest, head + binding.digest())
        except (InvalidTag, ValueError):
            raise SealBroken("the job's record was modified, or its data key is another job's") from None
        digest, sent_key = text[_KEY_BYTES : _KEY_BYTES + _DIGEST_BYTES], text[_KEY_BYTES + _DIGEST_BYTES :]
        return Opened(DataKey(text[:_KEY_BYTES]), digest.hex(), sent_key[1:].decode() if sent_key else None)

    def is_own(self, wrapped: str) -> bool:
        """Return whether the first key already wraps this data key. Raises SealBroken, PayloadUnreadable."""
        head, _, _ = _parts(wrapped)
        return self._own is not None and head == self._own.head

    def rewrapped(self, wrapped: str, binding: Binding) -> tuple[str, Mark | None]:
        """Wrap a data key with the first key; return it with the mark that identifies its batch from then on.

        The mark is None if the batch came without an Idempotency-Key. Raises SealBroken, PayloadUnreadable.
        """
        opened = self.opened(wrapped, binding)
        if not isinstance(opened.key, DataKey):
            raise SealBroken("the job has no data key")
        sent_key = opened.idempotency_key
        mark = None if sent_key is None else self.marks(sent_key, binding, opened.body_sha256)[0]
        return self.wrap(opened.key, binding, opened.body_sha256, sent_key), mark

    def marks(self, sent_key: str, binding: Binding, body_sha256: str) -> tuple[Mark, ...]:
        """Return the marks by which a repeated request can be recognised: one per key, then the one without a key.

        The first one is stored. The one without a key is stored if no keys are configured, and by older versions. A
        second line of `sent_key` must match, too.
        """
        sent_key, _, mapping = sent_key.partition("\n")
        text = shared(
            binding.database, binding.care_plan, body_sha256 + mapping, binding.strict, binding.dry_run
        ).encode()
        parts = b"key " + sent_key.encode(), b"all " + text
        keyed = (
            Mark(*(hmac.digest(key.digests, part, "sha256").hex() for part in parts)) for key in self._keys.values()
        )
        return (*keyed, Mark(*(hashlib.sha256(part).hexdigest() for part in (sent_key.encode(), text))))


UNSEALED = Seals({})
"""The seals of an installation without keys: nothing is encrypted."""


def _parts(wrapped: str) -> tuple[bytes, bytes, bytes]:
    """Split a wrapped data key into its head, the nonce, and the rest. Raises SealBroken, PayloadUnreadable."""
    try:
        raw = base64.b64decode(wrapped, validate=True)
        start = 2 + raw[1] + _CHECK_BYTES
    except (ValueError, IndexError):
        raise SealBroken("the job's data key was modified") from None
    if raw[0] != _WRAPPED:
        raise PayloadUnreadable("the data key has a format that this version does not know; upgrade carecase-worker")
    return raw[:start], raw[start : start + _NONCE_BYTES], raw[start + _NONCE_BYTES :]


def _key_named(keys: Mapping[str, _WrappingKey], key_id: str) -> _WrappingKey:
    if key_id not in keys:
        text = f"the chunk is sealed with the key {key_id!r}, which is not configured; add it to encryption.keys"
        raise PayloadUnreadable(text)
    return keys[key_id]


def _other_key(key_id: str) -> PayloadUnreadable:
    return PayloadUnreadable(
        f"the chunk does not open with the key {key_id!r}; check that it is the key that sealed it"
    )


def _place(kind: Kind, chunk: ChunkRef) -> bytes:
    return kind.value + f":{chunk.job_id}:{chunk.chunk_no}".encode()


def _derived(key: bytes, purpose: bytes) -> bytes:
    """Derive a key for one purpose: HKDF-Expand (RFC 5869) with SHA-256, whose first block is one HMAC."""
    return hmac.digest(key, b"carecase " + purpose + b"\x01", "sha256")
