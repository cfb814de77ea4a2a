"""A batch becomes a job: cut into chunks and staged as it comes in, admitted at one stroke."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

import msgspec

from carecase_worker.clock import Clock
from carecase_worker.errors import BacklogFull, BatchFault, BatchRefused, StoreUnavailable
from carecase_worker.jobs.chunks import Chunk, ChunkBounds, Cutter, pack
from carecase_worker.jobs.idempotency import fingerprint
from carecase_worker.jobs.seal import UNSEALED, Seals
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Admission, Admitted, ChunkRef, NewJob

_STAGE_BYTES = 1 << 20
_CALLS_BEHIND = 3


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a batch where, and how. `care_plan` is the one of the path, if it has one; `strict`: all or nothing."""

    client: str
    user: str
    database: str
    care_plan: int | None
    idempotency_key: str | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Admissions:
    """Admits batches to the job store, cut by `bounds`."""

    store: JobStore
    bounds: ChunkBounds
    max_items: int
    clock: Clock
    seals: Seals = UNSEALED

    def draft(self, sender: Sender, job_id: UUID) -> "Draft":
        """A batch that is coming in; nothing of it is a job yet."""
        return Draft(self, sender, str(job_id))


class Draft:
    """A batch on its way to the job store; holds a few megabytes of it at a time, whatever its size.

    Each method raises BatchRefused or BacklogFull, and then the draft is to be discarded; or StoreUnavailable, and then
    the batch may have been admitted: the same Idempotency-Key tells.
    """

    def __init__(self, admissions: Admissions, sender: Sender, job_id: str) -> None:
        self._admissions = admissions
        self._sender = sender
        self._job_id = job_id
        self._cutter = Cutter(admissions.bounds)
        self._firsts: list[int] = []
        self._packed = _Packed(admissions, job_id)
        self._packer = ThreadPoolExecutor(1, "packer")  # the thread is started when there is something for it
        self._packing: deque[Future[None]] = deque()
        self._to_discard = False

    def add(self, items: Sequence[msgspec.Raw]) -> None:
        """Take the next items of the batch. They are packed and staged by a thread, while the next ones are cut."""
        chunks = self._numbered(self._cutter.add(items))
        if self._cutter.total > self._admissions.max_items:
            raise BatchRefused(
                BatchFault.TOO_MANY_ITEMS,
                f"The batch has more than {self._admissions.max_items} items. Send them in several batches.",
            )
        if chunks:
            self._catch_up(_CALLS_BEHIND)
            self._to_discard = True
            self._packing.append(self._packer.submit(self._packed.add, chunks))

    def admit(self, body_sha256: str) -> Admission:
        """The job that stands for the batch: a new one, or the one that its Idempotency-Key gave before."""
        last = self._numbered(self._cutter.finish())
        self._catch_up(0)
        self._packer.shutdown()
        self._packed.add(last)
        sender = self._sender
        new = NewJob(
            job_id=self._job_id,
            client=sender.client,
            user=sender.user,
            database=sender.database,
            care_plan=sender.care_plan,
            total=self._cutter.total,
            chunk_firsts=self._firsts,
            payload_bytes=self._packed.total_bytes,
            body_sha256=body_sha256,
            fingerprint=fingerprint(sender.database, sender.care_plan, body_sha256, sender.strict),
            idempotency_key=sender.idempotency_key,
            strict=sender.strict,
        )
        self._to_discard = False  # what is not admitted is dropped at the same stroke
        return _accepted(self._admissions.store.admit(new, self._packed.waiting, self._admissions.clock.now()))

    def discard(self) -> None:
        """Drop what was staged, unless it may be a job by now. Raises StoreUnavailable, and then it goes by itself."""
        self._packer.shutdown(cancel_futures=True)  # it waits for what is being staged, which is to be dropped, too
        if self._to_discard:
            self._admissions.store.discard(self._job_id)

    def _catch_up(self, calls: int) -> None:
        """Wait until all that was handed over is packed, but for the last few calls."""
        while len(self._packing) > calls:
            self._packing.popleft().result()

    def _numbered(self, chunks: Iterable[Chunk]) -> dict[int, Chunk]:
        """The chunks by their numbers in the job."""
        numbered = {}
        for chunk in chunks:
            if self._sender.strict and self._firsts:
                raise BatchRefused(
                    BatchFault.TOO_LARGE_FOR_STRICT,
                    f"With Prefer: handling=strict a batch has at most {self._admissions.bounds.items} items and"
                    f" {self._admissions.bounds.size} bytes. Send a smaller one, or leave the preference out.",
                )
            numbered[len(self._firsts)] = chunk
            self._firsts.append(chunk.first)
        return numbered


class _Packed:
    """The payloads of a batch: those that wait to be staged, and how many bytes all have. One thread at a time."""

    def __init__(self, admissions: Admissions, job_id: str) -> None:
        self._store = admissions.store
        self._seals = admissions.seals
        self._job_id = job_id
        self.waiting: dict[int, bytes] = {}
        self.total_bytes = 0
        self._waiting_bytes = 0

    def add(self, chunks: Mapping[int, Chunk]) -> None:
        """Pack chunks; stage what waits whenever it is a megabyte and there is more. Raises StoreUnavailable."""
        for number, chunk in chunks.items():
            if self._waiting_bytes >= _STAGE_BYTES:
                self._store.stage(self._job_id, self.waiting)
                self.waiting, self._waiting_bytes = {}, 0
            payload = self._seals.seal(pack(chunk), ChunkRef(self._job_id, number), chunk.count)
            self.waiting[number] = payload
            self.total_bytes += len(payload)
            self._waiting_bytes += len(payload)


def _accepted(admission: Admission) -> Admission:
    match admission.verdict:
        case Admitted.ADMITTED | Admitted.KNOWN:
            return admission
        case Admitted.REUSED:
            raise BatchRefused(
                BatchFault.KEY_REUSED,
                "This Idempotency-Key came before, with other items, database, care plan or handling. Use a new key.",
            )
        case Admitted.FULL:
            raise BacklogFull("Too much accepted work is still open. Send the batch again later.")
        case Admitted.LOST:
            raise StoreUnavailable("the job store lost a part of the batch; send it again")
        case never:
            assert_never(never)
