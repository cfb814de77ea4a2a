"""The outcome of one item: a status of the contract and its text."""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Kind(IntEnum):
    """What became of an item. The numbers are kept in Redis and in ledgers: never reuse one."""

    CREATED = 1
    UPDATED = 2
    SUPERSEDED = 3
    INVALID = 4
    CONFLICT = 5
    CANCELLED = 6
    REFUSED = 7
    UNAVAILABLE = 8

    @property
    def status(self) -> int:
        """The HTTP status that the contract gives it."""
        return _STATUS[self]

    @property
    def failed(self) -> bool:
        """Whether the job counts it as failed."""
        return self in _FAILED

    @property
    def retryable(self) -> bool:
        """Whether it failed for a reason outside the item, so that sending it again can help."""
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
    }
)
_FAILED = frozenset({Kind.INVALID, Kind.CONFLICT, Kind.REFUSED, Kind.UNAVAILABLE})
_RETRYABLE = frozenset({Kind.CANCELLED, Kind.REFUSED, Kind.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item. `body` names fields and rules, never a value."""

    kind: Kind
    body: str


CREATED = Outcome(Kind.CREATED, "Created")
UPDATED = Outcome(Kind.UPDATED, "Updated")
SUPERSEDED = Outcome(Kind.SUPERSEDED, "Superseded")
CANCELLED = Outcome(Kind.CANCELLED, "Cancelled")
REFUSED = Outcome(
    Kind.REFUSED, "The target database refused this item for a reason that is not the item's own."
)
UNAVAILABLE = Outcome(
    Kind.UNAVAILABLE, "The target database did not answer before the retry deadline. The item can be sent again."
)
OTHER_CARE_PLAN = Outcome(Kind.CONFLICT, "carePlan_Key: the case exists under another care plan")

FIXED = MappingProxyType({o.kind: o for o in (CREATED, UPDATED, SUPERSEDED, CANCELLED, REFUSED, UNAVAILABLE)})
"""The kinds whose text is always the same."""
