"""The seal of a leased chunk: its job's record is verified, its payload opened, its outcomes sealed."""

from carecase_worker.batches.chunking import Chunk
from carecase_worker.batches.encryption import Kind, Seals
from carecase_worker.batches.payloads import unpack
from carecase_worker.errors import PayloadUnreadable, SealBroken
from carecase_worker.store.operations.claims import Lease


def require_record(seals: Seals, lease: Lease, also_unread: bool = False) -> None:
    """Raise SealBroken unless the job's record is as it was admitted.

    Raises PayloadUnreadable if the key to verify it is not here, unless `also_unread`.
    """
    try:
        seals.opened(lease.data_key, lease.binding).key.require_order(lease.order, lease.signature)
    except PayloadUnreadable:
        if not also_unread:
            raise


def open_payload(seals: Seals, lease: Lease) -> Chunk:
    """Open the payload of a leased chunk. Raises SealBroken, PayloadUnreadable.

    It says itself if it is of a dry run. So a record that was changed does not have it written, also where nothing is
    sealed.
    """
    key = seals.opened(lease.data_key, lease.binding).key
    chunk = unpack(key.open(Kind.PAYLOAD, lease.chunk, lease.payload))
    if chunk.dry_run is not lease.dry_run:
        raise SealBroken("the job's record says that it is a dry run and its payload that it is none, or the other way")
    return chunk


def seal_result(seals: Seals, lease: Lease, packed: bytes) -> bytes:
    """Seal packed outcomes for Redis.

    Those of a job without a data key, or with one that is lost, are returned as they are.
    """
    try:
        return seals.opened(lease.data_key, lease.binding).key.seal(Kind.RESULT, lease.chunk, packed)
    except (PayloadUnreadable, SealBroken):
        return packed
