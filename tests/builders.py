"""Cases and batches: valid unless told otherwise."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from carecase_worker.jobs.verdicts import NewJob

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


def a_case(key: int = 1, **fields: Any) -> dict[str, Any]:
    """A valid case; `fields` replace or add members."""
    return {"case_Key": key, "carePlan_Key": 5, "do_Not_Contact": False, **fields}


def a_batch(*cases: dict[str, Any]) -> bytes:
    """Cases as a body."""
    return json.dumps(list(cases)).encode()


def a_new_job(**changes: Any) -> NewJob:
    """A job of one chunk with one item."""
    fields: dict[str, Any] = {
        "job_id": str(uuid4()),
        "client": "demo",
        "user": "demo",
        "database": "demo",
        "care_plan": None,
        "total": 1,
        "chunk_firsts": (0,),
        "payload_bytes": 10,
        "body_sha256": "0" * 64,
        "fingerprint": "f",
        "idempotency_key": None,
    }
    return NewJob(**{**fields, **changes})
