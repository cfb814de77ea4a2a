"""Admission of a batch: cut into chunks and staged while it is received, then made a job atomically."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Semaphore
from uuid import UUID

import msgspec

from carecase_worker.batches.chunking import Chunk, Chunker, ChunkLimits, ChunkRef
from carecase_worker.batches.encryption import UNSEALED, Kind, Seals
from carecase_worker.batches.key_sets import KeySet, written_keys
from carecase_worker.batches.payloads import pack
from carecase_worker.clock import thread_seconds
from carecase_worker.errors import BatchFault, BatchRefused, StoreUnavailable
from carecase_worker.store.batch_store import BatchStore
from carecase_worker.store.operations.admission import Admission, JobSeal, NewJob, Staging, require_admitted
from carecase_worker.telemetry import Observe, unobserved
from carecase_worker.traceparent import TraceParent

_STAGE_BYTES = 1 << 20
_BEHIND = 3  # calls of `add` whose chunks may still be being packed
_AT_ONCE = 2  # calls that pack at the same time: the event loop waits for each of them to yield the interpreter
_KEY_BYTES = 4

_Packed = tuple[dict[int, bytes], KeySet]
"""The payloads of some chunks, and the keys of their cases."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of a batch, and how the batch is to be applied.

    `care_plan` is that of the path, if it has one; `strict`: all or nothing; `dry_run`: applied and rolled back;
    `retry_of`: the job whose items are resubmitted; `mapping`: the name of the mapping of a file's rows to items, if
    one was used; `traceparent`: the span of the request, if it is traced.
    """

    client: str
    user: str
    database: str
    care_plan: int | None
    idempotency_key: str | None = None
    strict: bool = False
    dry_run: bool = False
    retry_of: str = ""
    mapping: str = ""
    traceparent: TraceParent | None = None

    @property
    def sent_key(self) -> str | None:
        """The Idempotency-Key, with the mapping on a second line: another mapping makes another batch."""
        if self.idempotency_key is None or not self.mapping:
            return self.idempotency_key
        return f"{self.idempotency_key}\n{self.mapping}"


@dataclass(frozen=True, slots=True)
class Admissions:
    """Admission of batches to the job store: cut by `bounds`, packed and staged by the threads of `packers`."""

    store: BatchStore
    bounds: ChunkLimits
    max_items: int
    packers: Executor
    seals: Seals = UNSEALED
    webhooks: Mapping[str, str] = field(default_factory=dict)
    """The webhooks of each client that has some, in the format of `admit`."""
    charge: Observe = unobserved
    """A callback that gets the processor time in seconds that packers used for a client; called from any thread."""
    packing: Semaphore = field(default_factory=lambda: Semaphore(_AT_ONCE))
    """The limit of packers that pack at the same time; those that send to Redis are not counted."""

    def draft(self, sender: Sender, job_id: UUID) -> "PendingBatch":
        """Return a pending batch, which is not a job yet."""
        return PendingBatch(self, sender, str(job_id))


class PendingBatch:
    """A batch being sent to the job store; it buffers a few chunks at a time, whatever the size of the batch.

    Chunks are packed, and staged by the megabyte, in other threads while the next ones are cut. Each method raises
    BatchRefused, BacklogFull or StorageFull: then discard the batch. Or it raises StoreUnavailable: then the batch may
    have been admitted; repeating the request with the same Idempotency-Key settles that.
    """

    def __init__(self, admissions: Admissions, sender: Sender, job_id: str) -> None:
        self._admissions = admissions
        self._sender = sender
        self._staged = Staging(job_id, sender.client, sender.database)
        self._key = admissions.seals.new_key()
        self._cutter = Chunker(admissions.bounds)
        self._firsts: list[int] = []
        self._items_bytes = 0
        self._keys, self._keys_bytes = KeySet(), 0
        self._packing: deque[tuple[int, Future[_Packed]]] = deque()
        """Size in bytes and result of each call that packs chunks, in order."""
        self._staging: Future[Admission] | None = None
        self._waiting: dict[int, bytes] = {}
        self._waiting_bytes = self._staging_bytes = 0

    @property
    def job_id(self) -> str:
        """The id of the job that it becomes."""
        return self._staged.job_id

    @property
    def total(self) -> int:
        """The number of items so far."""
        return self._cutter.total

    @property
    def buffered_bytes(self) -> int:
        """Upper bound of its memory in bytes: items, and chunks being packed or staged."""
        packing = sum(size for size, _ in self._packing)
        return self._cutter.buffered_bytes + packing + self._waiting_bytes + self._staging_bytes + self._keys_bytes

    def add(self, items: Sequence[msgspec.Raw]) -> None:
        """Add the next items of the batch."""
        chunks = self._numbered(self._cutter.add(items))
        if self._cutter.total > self._admissions.max_items:
            raise BatchRefused(
                BatchFault.TOO_MANY_ITEMS,
                f"The batch has more than {self._admissions.max_items} items. Send them in several batches.",
            )
        if chunks:
            size = sum(len(chunk.items) for chunk in chunks.values())
            self._packing.append((size, self._admissions.packers.submit(self._packed_apart, chunks)))
            self._collect(but=_BEHIND)

    def admit(self, body_sha256: str) -> Admission:
        """Admit the batch as a new job, or return the job that its Idempotency-Key already has."""
        return require_admitted(self._admissions.store.admit(*self.ended(body_sha256)))

    def ended(self, body_sha256: str) -> tuple[NewJob, Mapping[int, bytes]]:
        """Finish cutting and return the arguments of `admit`: the job that the batch becomes, and its last chunks."""
        last = self._packed(self._numbered(self._cutter.finish()))
        self._collect(but=0)
        self._take(last)
        if self._staging is not None:
            require_admitted(self._staging.result())
        sender, key_set = self._sender, self._key_set()
        new = NewJob(
            job_id=self._staged.job_id,
            client=sender.client,
            user=sender.user,
            database=sender.database,
            care_plan=sender.care_plan,
            total=self._cutter.total,
            chunk_firsts=self._firsts,
            payload_bytes=self._staged.size + self._waiting_bytes + len(key_set),
            body_sha256=body_sha256,
            strict=sender.strict,
            dry_run=sender.dry_run,
            retry_of=sender.retry_of,
            weight=self._weight,
            key_set=key_set,
            webhooks="" if sender.dry_run else self._admissions.webhooks.get(sender.client, ""),
            traceparent=sender.traceparent,
        )
        return self._completed(new), self._waiting

    @property
    def is_busy(self) -> bool:
        """True while threads work for the batch, and afterwards if they have staged chunks."""
        return bool(self._packing) or self._staging is not None

    def discard(self) -> None:
        """Drop the staged chunks; a batch that is already a job stays one. If Redis is unreachable, they expire."""
        for _, future in self._packing:
            future.cancel()
        if self._staging is not None:
            wait([self._staging])  # its chunks are to be dropped, too
            with suppress(StoreUnavailable):
                self._admissions.store.discard(self._staged)

    @property
    def _weight(self) -> int:
        """The room that the batch takes in a group, in items (bytes are converted to items).

        0 if it has several chunks, fills more than half a group, or is a dry run.
        """
        bounds = self._admissions.bounds
        if self._sender.dry_run:
            return 0
        weight = max(self.total, -(-self._items_bytes * bounds.items // bounds.size))
        return weight if len(self._firsts) == 1 and weight * 2 <= bounds.items else 0

    def _completed(self, new: NewJob) -> NewJob:
        """Return the job with its marks, and with its data key wrapped and bound to the final facts."""
        seals, sent_key = self._admissions.seals, self._sender.sent_key
        if sent_key is not None:
            new = replace(new, marks=seals.marks(sent_key, new.binding, new.body_sha256))
        if self._key is None:
            return new
        wrapped = seals.wrap(self._key, new.binding, new.body_sha256, sent_key)
        return replace(new, seal=JobSeal(wrapped, *self._key.order_blocks()))

    def _numbered(self, chunks: Iterable[Chunk]) -> dict[int, Chunk]:
        """Return the chunks by their numbers in the job. Raises BatchRefused if a strict batch has a second one."""
        numbered = {}
        for chunk in chunks:
            if self._sender.strict and self._firsts:
                raise BatchRefused(
                    BatchFault.TOO_LARGE_FOR_STRICT,
                    f"With Prefer: handling=strict a batch has at most {self._admissions.bounds.items} items and"
                    f" {self._admissions.bounds.size} bytes. Send a smaller one, or leave the preference out.",
                )
            numbered[len(self._firsts)] = replace(chunk, dry_run=self._sender.dry_run)
            self._firsts.append(chunk.first)
            self._items_bytes += len(chunk.items)
        return numbered

    def _packed_apart(self, chunks: Mapping[int, Chunk]) -> _Packed:
        """Pack chunks in a packer, and charge the client for it."""
        with self._admissions.packing:
            began = thread_seconds()
            try:
                return self._packed(chunks)
            finally:
                self._admissions.charge(self._sender.client, thread_seconds() - began)

    def _packed(self, chunks: Mapping[int, Chunk]) -> _Packed:
        key, job_id = self._key, self._staged.job_id
        ordered = () if self._sender.dry_run else chunks.values()  # no job waits for a dry run
        keys = KeySet.union(
            KeySet(written_keys(chunk.items) if chunk.keys is None else chunk.keys) for chunk in ordered
        )
        if key is None:
            return {n: pack(chunk) for n, chunk in chunks.items()}, keys
        return {n: key.seal(Kind.PAYLOAD, ChunkRef(job_id, n), pack(chunk)) for n, chunk in chunks.items()}, keys

    def _key_set(self) -> bytes:
        """Return the set of all case keys as stored in Redis: packed, and sealed if there is a data key.

        A dry run has none.
        """
        if self._sender.dry_run:
            return b""
        packed, key = self._keys.packed(), self._key
        return packed if key is None else key.seal(Kind.KEYS, ChunkRef(self.job_id, 0), packed)

    def _collect(self, but: int) -> None:
        """Take packed chunks in order; wait for all but the last `but` calls."""
        while len(self._packing) > but:
            self._take(self._packing.popleft()[1].result())

    def _take(self, packed: _Packed) -> None:
        """Keep payloads until they are a megabyte, then stage them; only one call to stage runs at a time."""
        payloads, keys = packed
        self._keys.add(keys)
        self._keys_bytes += _KEY_BYTES * len(keys)
        for number, payload in payloads.items():
            if self._waiting_bytes >= _STAGE_BYTES:
                if self._staging is not None:
                    require_admitted(self._staging.result())
                before, waiting = self._staged, self._waiting
                self._staged = replace(
                    before, size=before.size + self._waiting_bytes, chunks=before.chunks + len(waiting)
                )
                self._staging = self._admissions.packers.submit(self._admissions.store.stage, self._staged, waiting)
                self._waiting, self._waiting_bytes, self._staging_bytes = {}, 0, self._waiting_bytes
            self._waiting[number] = payload
            self._waiting_bytes += len(payload)
