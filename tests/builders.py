"""Cases and batches: valid unless told otherwise."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from carecase_worker.cases.batch import ArraySplitter, Splitter
from carecase_worker.jobs.chunks import Chunk, ChunkBounds, Cutter
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


def items_of(body: bytes, splitter: Splitter, piece_bytes: int = 1 << 20) -> list[Any]:
    """The items of a body that comes in pieces."""
    pieces = (body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes))
    items = [item for piece in pieces for item in splitter.feed(piece)]
    return [*items, *splitter.finish()]


def chunks_of(body: bytes, bounds: ChunkBounds | None = None, splitter: Splitter | None = None) -> list[Chunk]:
    """The chunks of a body, a JSON array unless `splitter` says otherwise."""
    cutter = Cutter(bounds or ChunkBounds(1000, 1 << 20, 1 << 18))
    return [*cutter.add(items_of(body, splitter or ArraySplitter())), *cutter.finish()]
