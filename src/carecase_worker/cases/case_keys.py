"""The keys of the cases that a batch may write: batches that share none need not wait for each other."""

from array import array
from typing import Annotated

import msgspec

from carecase_worker.cases.care_case import INT32_MAX, INT32_MIN
from carecase_worker.cases.validation import keys_of

_UINT32 = 1 << 32


class _KeyAlone(msgspec.Struct, gc=False):
    case_Key: Annotated[int, msgspec.Meta(ge=INT32_MIN, le=INT32_MAX)]


_KEYS = msgspec.json.Decoder(list[_KeyAlone])


def written_keys(items: bytes) -> "array[int]":
    """Return the key of every item of a JSON array that may be valid, each modulo 2**32."""
    try:
        return array("I", [item.case_Key % _UINT32 for item in _KEYS.decode(items)])
    except ValueError:  # at least one item has no key that can be read so
        return array("I", [key % _UINT32 for key in keys_of(items) if key is not None])
