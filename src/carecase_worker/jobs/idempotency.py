"""What makes two requests the same one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A request as the job store knows it again: digests of its Idempotency-Key and of all that it must share."""

    key: str
    fingerprint: str


def shared(database: str, care_plan: int | None, body_sha256: str, strict: bool = False) -> str:
    """Everything that a repeated request must share with the first one, besides key and caller, as one text."""
    parts = (database, "" if care_plan is None else str(care_plan), body_sha256, *(("strict",) if strict else ()))
    return "\n".join(parts)
