"""The built-in mapping of FHIR R4 `EpisodeOfCare` resources, one per line, to cases."""

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import msgspec

from carecase_worker.batches.faults import BLANK, empty, without_mark
from carecase_worker.batches.line_numbers import NumberedItems
from carecase_worker.batches.splitting import ITEM_BYTES
from carecase_worker.cases.care_case import CARE_PLAN
from carecase_worker.errors import BatchRefused
from carecase_worker.files.date_formats import iso_of
from carecase_worker.files.refusals import FileFault, refusal, too_long

NAME = "fhir-r4-episode-of-care"
"""The name of the mapping."""

NO_PLACE = (
    "account", "contained", "diagnosis", "extension", "implicitRules", "language", "meta", "modifierExtension",
    "referralRequest", "statusHistory", "team", "text", "further identifiers, types and codings",
)  # fmt: skip
"""The parts of a resource without a field in a case; they are left out."""

_STATUSES = MappingProxyType(
    {"cancelled": "CANCELED", "entered-in-error": "ERROR"}  # the field has eight characters
)


_NAMES = {"kind": "resourceType", "organization": "managingOrganization", "manager": "careManager"}


class _Identifier(msgspec.Struct):
    value: str | None = None


class _Coding(msgspec.Struct):
    code: str | None = None


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []


class _Reference(msgspec.Struct):
    reference: str | None = None
    type: str | None = None


class _Period(msgspec.Struct):
    start: str | None = None
    end: str | None = None


class _Episode(msgspec.Struct, rename=_NAMES):
    kind: str
    status: str
    id: str | None = None
    identifier: list[_Identifier] = []
    type: list[_Concept] = []
    patient: _Reference = msgspec.field(default_factory=_Reference)
    organization: _Reference = msgspec.field(default_factory=_Reference)
    manager: _Reference = msgspec.field(default_factory=_Reference)
    period: _Period = msgspec.field(default_factory=_Period)


_decoder = msgspec.json.Decoder(_Episode)
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class EpisodeMapping:
    """The mapping of episodes; `constants` are fields that FHIR lacks."""

    constants: Mapping[str, Any] = field(default_factory=lambda: {"do_Not_Contact": False})

    def of_care_plan(self, care_plan: int | None) -> "EpisodeMapping":
        """Return the mapping with a care plan for all episodes, if one is given."""
        return self if care_plan is None else replace(self, constants={**self.constants, CARE_PLAN: care_plan})


class EpisodeSplitter:
    """A splitter of lines of episodes, one item a line; blank lines do not count. Its methods raise BatchRefused."""

    def __init__(self, mapping: EpisodeMapping, item_bytes: int = ITEM_BYTES) -> None:
        self._constants = mapping.constants
        self._most = 2 * item_bytes
        self._rest = b""
        self._line = 1
        self._given = 0

    @property
    def buffered_bytes(self) -> int:
        """Buffered bytes of incomplete items."""
        return len(self._rest)

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """Process a piece; return the items completed by it."""
        end = piece.rfind(b"\n") + 1
        if not end:
            self._rest += piece
            if len(self._rest) > self._most:
                raise refusal(str(too_long(self._line, self._most)))
            return ()
        text, self._rest = self._rest + piece[:end], piece[end:]
        return self._split(text)

    def finish(self) -> Sequence[msgspec.Raw]:
        """Return the rest of the items; refuse a file without any."""
        items, self._rest = self._split(self._rest), b""
        if not self._given:
            raise empty()
        return items

    def _split(self, text: bytes) -> NumberedItems:
        text = without_mark(text) if self._line == 1 and text else text
        # files that were put together each begin with a mark, which is no fault between lines that stand for themselves
        lines = [line.removeprefix(BOM_UTF8) for line in text.split(b"\n")]
        filled = [(number, line) for number, line in enumerate(lines, start=self._line) if line.strip(BLANK)]
        items = [msgspec.Raw(_encoder.encode(self._case(line, number))) for number, line in filled]
        self._line += len(lines) - 1
        self._given += len(items)
        return NumberedItems(items, [number for number, _ in filled])

    def _case(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            episode = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _no_episode(number) from None
        if episode.kind != "EpisodeOfCare":
            raise _no_episode(number)
        return {name: value for name, value in {**_fields(episode), **self._constants}.items() if value is not None}


def _fields(episode: _Episode) -> dict[str, Any]:
    return {
        "case_Key": _key(episode),
        "case_ID": episode.id,
        "case_Status": _STATUSES.get(episode.status, episode.status.upper()),
        "case_Start_Date": _date_time(episode.period.start),
        "case_End_Date": _date_time(episode.period.end),
        "case_Reason": next((one.code for concept in episode.type for one in concept.coding if one.code), None),
        "case_Assign_Type": episode.manager.type or _parts(episode.manager)[0],
        "provider_ID": _parts(episode.manager)[1],
        "group_ID": _parts(episode.organization)[1],
        "subscriber_ID": _parts(episode.patient)[1],
    }


def _key(episode: _Episode) -> int | str | None:
    """Return the first numeric identifier, or else the id; as text if it is not numeric."""
    values = [one.value for one in episode.identifier if one.value] + [episode.id or ""]
    number = next((value for value in values if value.isascii() and value.isdecimal() and len(value) <= 10), None)
    return int(number) if number else values[0] or None


def _parts(reference: _Reference) -> tuple[str | None, str | None]:
    """Return the type and the id of a reference such as Patient/123, of any server."""
    parts = (reference.reference or "").partition("/_history/")[0].split("/")
    return (parts[-2], parts[-1]) if len(parts) > 1 else (None, None)


def _date_time(text: str | None) -> str | None:
    return None if text is None else iso_of(text, ())


def _no_episode(line: int) -> BatchRefused:
    text = "is not an EpisodeOfCare of FHIR R4 as JSON. Send one resource per line, as in FHIR bulk data."
    return refusal(str(FileFault(line, text)))
