"""Marks by which a repeated request is recognised."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a request: digests of its Idempotency-Key and of all that a repeated request must share with it."""

    key: str
    fingerprint: str


def shared(database: str, care_plan: int | None, body_sha256: str, strict: bool = False) -> str:
    """Return as one text all that a repeated request must share with the first one, besides key and caller."""
    parts = (database, "" if care_plan is None else str(care_plan), body_sha256, *(("strict",) if strict else ()))
    return "\n".join(parts)
