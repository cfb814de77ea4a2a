"""The seal of a leased chunk: its job's record is verified, its payload opened, its outcomes sealed."""

from carecase_worker.batches.chunking import Chunk
from carecase_worker.batches.encryption import Kind, Seals
from carecase_worker.batches.payloads import unpack
from carecase_worker.errors import PayloadUnreadable, SealBroken
from carecase_worker.store.operations.claims import Lease


def require_record(seals: Seals, lease: Lease, also_unread: bool = False) -> None:
    """Raise SealBroken unless the job's record is the one that was admitted.

    Raises PayloadUnreadable if the key to verify it is not configured, unless `also_unread`.
    """
    try:
        seals.opened(lease.data_key, lease.binding).key.require_order(lease.order, lease.signature)
    except PayloadUnreadable:
        if not also_unread:
            raise


def open_payload(seals: Seals, lease: Lease) -> Chunk:
    """Open the payload of a leased chunk. Raises SealBroken, PayloadUnreadable.

    The payload itself says if it is of a dry run. So a modified record cannot get it written, even without encryption.
    """
    key = seals.opened(lease.data_key, lease.binding).key
    chunk = unpack(key.open(Kind.PAYLOAD, lease.chunk, lease.payload))
    if chunk.dry_run is not lease.dry_run:
        raise SealBroken("the job's record and its payload disagree whether it is a dry run")
    return chunk


def seal_result(seals: Seals, lease: Lease, packed: bytes) -> bytes:
    """Seal packed outcomes for Redis.

    Without a data key, or with a lost one, they are returned unchanged.
    """
    try:
        return seals.opened(lease.data_key, lease.binding).key.seal(Kind.RESULT, lease.chunk, packed)
    except (PayloadUnreadable, SealBroken):
        return packed
