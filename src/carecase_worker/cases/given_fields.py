"""Audit fields that an item sets itself; the others get a default."""

import msgspec

from carecase_worker.cases.care_case import UPDATE_DATE, UPDATE_USER


class _UpdateFields(msgspec.Struct):
    update_Date: str | None = None
    update_User: str | None = None


_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_UPDATE_FIELDS = msgspec.json.Decoder(_UpdateFields)


def given_update_fields(items: bytes) -> list[frozenset[str]]:
    """Return, for each item of a JSON array, the audit fields of an update that it sets; empty for an invalid item."""
    return [_given(raw) for raw in _ITEMS.decode(items)]


def _given(raw: msgspec.Raw) -> frozenset[str]:
    try:
        given = _UPDATE_FIELDS.decode(raw)
    except msgspec.DecodeError:
        return frozenset()
    return frozenset(name for name in (UPDATE_DATE, UPDATE_USER) if getattr(given, name) is not None)
