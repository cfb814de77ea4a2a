"""Payloads sealed for their stay in Redis: AES-256-GCM, under one of several keys.

A sealed payload is of form 16: the form's byte, the number of items as a 32-bit little-endian number, the length of the
key's id in a byte, the id, 12 bytes of nonce, then the sealed payload of another form and its tag. What stands in front
is sealed in as well, and so are the job and the chunk: a payload opens nowhere else.
"""

import secrets
import struct
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carecase_worker.errors import PayloadUnreadable
from carecase_worker.jobs.verdicts import ChunkRef

_FORM_16 = 16
_HEAD = struct.Struct("<BIB")
_NONCE_BYTES = 12  # by chance: fine for 2**32 chunks under one key, NIST SP 800-38D


class Seals:
    """The keys that payloads are sealed with: the first one seals, all open. Without keys nothing is sealed."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._own = next(iter(self._ciphers), None)

    def seal(self, payload: bytes, chunk: ChunkRef, items: int) -> bytes:
        """The payload of a chunk of so many items, as it may lie in Redis."""
        if self._own is None:
            return payload
        key_id, nonce = self._own.encode(), secrets.token_bytes(_NONCE_BYTES)
        head = _HEAD.pack(_FORM_16, items, len(key_id)) + key_id
        return head + nonce + self._ciphers[self._own].encrypt(nonce, payload, head + _place(chunk))

    def open(self, payload: bytes, chunk: ChunkRef) -> bytes:
        """The payload as it was before; one that is not sealed is as it was. Raises PayloadUnreadable."""
        if payload[:1] != bytes((_FORM_16,)):
            return payload
        start = _HEAD.size + (payload[_HEAD.size - 1] if len(payload) >= _HEAD.size else 0)
        head, nonce, sealed = payload[:start], payload[start : start + _NONCE_BYTES], payload[start + _NONCE_BYTES :]
        key_id = head[_HEAD.size :].decode("ascii", "replace")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise PayloadUnreadable(
                f"the chunk is sealed with the key {key_id!r}, which is not here; add it to encryption.keys"
            )
        try:
            return cipher.decrypt(nonce, sealed, head + _place(chunk))
        except (InvalidTag, ValueError):
            raise PayloadUnreadable(
                f"the chunk does not open with the key {key_id!r}; check that it is the one it was sealed with"
            ) from None


UNSEALED = Seals({})
"""For where there are no keys."""


def _place(chunk: ChunkRef) -> bytes:
    return f"{chunk.job_id}:{chunk.chunk_no}".encode()
