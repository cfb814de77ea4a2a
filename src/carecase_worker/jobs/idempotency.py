"""What makes two requests the same one."""

import hashlib


def fingerprint(database: str, care_plan: int | None, body_sha256: str, strict: bool = False) -> str:
    """A digest of everything that a repeated request must share with the first one, besides key and caller."""
    parts = (database, "" if care_plan is None else str(care_plan), body_sha256, *(("strict",) if strict else ()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
