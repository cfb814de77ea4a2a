"""The outcome of one item: a status of the contract and its text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from types import MappingProxyType

import msgspec


class Kind(IntEnum):
    """The kinds of outcomes. The numbers are kept in Redis and in ledgers: never reuse one."""

    CREATED = 1
    UPDATED = 2
    SUPERSEDED = 3
    INVALID = 4
    CONFLICT = 5
    CANCELLED = 6
    REFUSED = 7
    UNAVAILABLE = 8
    NOT_APPLIED = 9
    VALID = 10
    UNTRUSTED = 11
    WOULD_CREATE = 12
    WOULD_UPDATE = 13
    UNCHANGED = 14

    @property
    def status(self) -> int:
        """The contract's HTTP status of this kind."""
        return _STATUS[self]

    @property
    def failed(self) -> bool:
        """True if the job counts it as failed."""
        return self in _FAILED

    @property
    def counted_as(self) -> str:
        """The name of the job's count that includes it."""
        return "failed" if self.failed else _COUNTED_AS.get(self, self.name.lower())

    @property
    def retryable(self) -> bool:
        """True if the item failed for a reason other than its content, so that sending it again can succeed."""
        return self in _RETRYABLE


_STATUS = MappingProxyType(
    {
        Kind.CREATED: 201,
        Kind.UPDATED: 200,
        Kind.SUPERSEDED: 200,
        Kind.INVALID: 422,
        Kind.CONFLICT: 409,
        Kind.CANCELLED: 409,
        Kind.REFUSED: 500,
        Kind.UNAVAILABLE: 503,
        Kind.NOT_APPLIED: 424,
        Kind.VALID: 200,
        Kind.UNTRUSTED: 500,
        Kind.WOULD_CREATE: 201,
        Kind.WOULD_UPDATE: 200,
        Kind.UNCHANGED: 200,
    }
)
_COUNTED_AS = MappingProxyType({Kind.WOULD_CREATE: "created", Kind.WOULD_UPDATE: "updated", Kind.UNCHANGED: "updated"})
"""The counts of dry-run outcomes: those of the outcomes that they predict."""
_FAILED = frozenset({Kind.INVALID, Kind.CONFLICT, Kind.REFUSED, Kind.UNAVAILABLE, Kind.NOT_APPLIED, Kind.UNTRUSTED})
_RETRYABLE = frozenset({Kind.CANCELLED, Kind.REFUSED, Kind.UNAVAILABLE, Kind.UNTRUSTED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one item. `body` names fields and rules, never a value.

    `changes` has the names of the fields that an update would change; only outcomes of dry runs have it.
    """

    kind: Kind
    body: str
    changes: tuple[str, ...] | None = None


CREATED = Outcome(Kind.CREATED, "Created")
UPDATED = Outcome(Kind.UPDATED, "Updated")
SUPERSEDED = Outcome(Kind.SUPERSEDED, "Superseded")
CANCELLED = Outcome(Kind.CANCELLED, "Cancelled")
REFUSED = Outcome(Kind.REFUSED, "The target database refused this item for a reason that is not the item's own.")
UNAVAILABLE = Outcome(
    Kind.UNAVAILABLE, "The target database did not answer before the retry deadline. The item can be sent again."
)
NOT_APPLIED = Outcome(
    Kind.NOT_APPLIED, "Not applied: another item of the batch failed, and the batch was to be applied as a whole."
)
UNTRUSTED = Outcome(
    Kind.UNTRUSTED, "Not applied: the stored copy of this item was modified outside the service. Send it again."
)
VALID = Outcome(Kind.VALID, "Valid")
WOULD_CREATE = Outcome(Kind.WOULD_CREATE, "Would be created")
UNCHANGED = Outcome(Kind.UNCHANGED, "Unchanged", ())
OTHER_CARE_PLAN = Outcome(Kind.CONFLICT, "carePlan_Key: the case exists under another care plan")

FIXED = MappingProxyType(
    {
        o.kind: o
        for o in (
            CREATED,
            UPDATED,
            SUPERSEDED,
            CANCELLED,
            REFUSED,
            UNAVAILABLE,
            NOT_APPLIED,
            UNTRUSTED,
            VALID,
            WOULD_CREATE,
            UNCHANGED,
        )
    }
)
"""The outcomes of the kinds with a fixed text."""


def would_update(changes: tuple[str, ...]) -> Outcome:
    """Return the outcome, in a dry run, of an item whose case exists; `changes` are the fields that differ."""
    return Outcome(Kind.WOULD_UPDATE, "Would be updated", changes) if changes else UNCHANGED


def none_applied(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of a strict batch with a failed item: NOT_APPLIED for the items that did not fail."""
    return [outcome if outcome.kind.failed else NOT_APPLIED for outcome in outcomes]


class _Packed(msgspec.Struct, omit_defaults=True):
    runs: list[tuple[int, int]]
    texts: dict[int, str]
    changes: dict[int, tuple[str, ...]] = {}


_decoder = msgspec.msgpack.Decoder(_Packed)


def runs_of(outcomes: Sequence[Outcome]) -> Iterator[tuple[Outcome, int]]:
    """Yield each run of equal neighbours as an outcome and the run's length."""
    return ((outcome, len(list(alike))) for outcome, alike in groupby(outcomes))


def pack_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """Encode outcomes as runs of equal kinds, plus the texts or changes of the kinds without a fixed text."""
    runs: list[tuple[int, int]] = []
    texts: dict[int, str] = {}
    changes: dict[int, tuple[str, ...]] = {}
    place = 0
    for outcome, length in runs_of(outcomes):
        runs.append((int(outcome.kind), length))
        if outcome.kind is Kind.WOULD_UPDATE:
            changes |= dict.fromkeys(range(place, place + length), outcome.changes or ())
        elif outcome.kind not in FIXED:
            texts |= dict.fromkeys(range(place, place + length), outcome.body)
        place += length
    return msgspec.msgpack.encode(_Packed(runs, texts, changes))


def unpack_outcomes(packed: bytes) -> list[Outcome]:
    """Unpack outcomes."""
    read = _decoder.decode(packed)
    return list(_unpacked(read))


def _unpacked(packed: _Packed) -> Iterator[Outcome]:
    place = 0
    for number, length in packed.runs:
        kind = Kind(number)
        for one in range(place, place + length):
            yield _outcome_of(kind, one, packed)
        place += length


def _outcome_of(kind: Kind, place: int, packed: _Packed) -> Outcome:
    if kind is Kind.WOULD_UPDATE:
        return would_update(packed.changes[place])
    return FIXED[kind] if kind in FIXED else Outcome(kind, packed.texts[place])
