"""Marks: digests by which a repeated request is recognised."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a request: digests of its Idempotency-Key and of the facts that a repetition must share with it."""

    key: str
    fingerprint: str


def shared(database: str, care_plan: int | None, body_sha256: str, strict: bool = False, dry_run: bool = False) -> str:
    """Return, as one text, the facts that a repeated request must share with the first, besides key and caller."""
    modes = [name for name, is_on in (("strict", strict), ("dryRun", dry_run)) if is_on]
    return "\n".join((database, "" if care_plan is None else str(care_plan), body_sha256, *modes))
