"""Cases and batches, valid unless the arguments say otherwise; a clock and randomness as tests need them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from carecase_worker.batches.binding import Mark
from carecase_worker.batches.chunking import Chunk, Chunker, ChunkLimits, ChunkRef
from carecase_worker.batches.splitting import ArraySplitter, Splitter
from carecase_worker.clock import from_epoch_us
from carecase_worker.store.operations.admission import NewJob
from carecase_worker.store.operations.claims import History, Lease

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


class OffClock:
    """The clock of a host, which is ahead or behind by some time."""

    def __init__(self, offset: timedelta) -> None:
        self._offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


class Even:
    """Randomness that is always in the middle."""

    def random(self) -> float:
        return 0.5


class Highest:
    """Randomness that is always as good as 1."""

    def random(self) -> float:
        return 1.0


def a_case(key: int = 1, **fields: Any) -> dict[str, Any]:
    """A valid case; `fields` replace or add members."""
    return {"case_Key": key, "carePlan_Key": 5, "do_Not_Contact": False, **fields}


def a_batch(*cases: Any) -> bytes:
    """Cases, or what is sent as such, as a body."""
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
    }
    mark = Mark(changes.pop("idempotency_key", ""), changes.pop("fingerprint", "f"))
    return NewJob(**{**fields, "marks": (mark,) if mark.key else (), **changes})


def a_lease(job_id: Any, chunk_no: int = 0, seq: int = 1, **changes: Any) -> Lease:
    """A lease of a chunk whose batch was accepted in the millisecond that its place in the order says."""
    fields: dict[str, Any] = {
        "chunk": ChunkRef(str(job_id), chunk_no),
        "payload": b"",
        "history": History(),
        "database": "demo",
        "care_plan": None,
        "user": "sender",
        "seq": seq,
        "accepted_at": from_epoch_us(seq * 1000),
    }
    return Lease(**{**fields, **changes})


def items_of(body: bytes, splitter: Splitter, piece_bytes: int = 1 << 20) -> list[Any]:
    """The items of a body that comes in pieces."""
    pieces = (body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes))
    items = [item for piece in pieces for item in splitter.feed(piece)]
    return [*items, *splitter.finish()]


def chunks_of(body: bytes, bounds: ChunkLimits | None = None, splitter: Splitter | None = None) -> list[Chunk]:
    """The chunks of a body, a JSON array unless `splitter` says otherwise."""
    cutter = Chunker(bounds or ChunkLimits(1000, 1 << 20, 1 << 18))
    return [*cutter.add(items_of(body, splitter or ArraySplitter())), *cutter.finish()]


def a_key_pair(algorithm: str) -> Any:
    """A private key to sign tokens with."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def a_jwks(**pairs: Any) -> bytes:
    """The public halves of key pairs by their ids, as an issuer publishes them."""
    keys = []
    for key_id, pair in pairs.items():
        kind: Any = RSAAlgorithm if isinstance(pair, rsa.RSAPrivateKey) else ECAlgorithm
        keys.append({**kind.to_jwk(pair.public_key(), as_dict=True), "kid": key_id, "use": "sig"})
    return json.dumps({"keys": keys}).encode()
