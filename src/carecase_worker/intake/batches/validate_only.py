"""`validateOnly`: validation of a batch without storing or applying it."""

from collections.abc import Iterable, Sequence

import msgspec

from carecase_worker.batches.chunking import Chunk, Chunker, ChunkLimits
from carecase_worker.batches.payloads import ChunkOutcomes
from carecase_worker.cases.outcomes import VALID, Outcome
from carecase_worker.cases.validation import Rules, keys_of, validate
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.jobs.result_formats import ResultFormat

_MOST_ITEMS = 20_000


class BatchCheck:
    """The validation of a batch's items while they are received. Raises BatchRefused."""

    def __init__(self, rules: Rules, bounds: ChunkLimits, form: ResultFormat) -> None:
        self._rules = rules
        self._form = form
        self._cutter = Chunker(bounds)
        self._pieces: list[bytes] = []

    @property
    def total(self) -> int:
        """The number of items so far."""
        return self._cutter.total

    @property
    def buffered_bytes(self) -> int:
        """Its memory in bytes: items, and the results of validated ones."""
        return self._cutter.buffered_bytes + sum(map(len, self._pieces))

    @property
    def is_busy(self) -> bool:
        """Return whether threads work for it: never."""
        return False

    def add(self, items: Sequence[msgspec.Raw]) -> None:
        """Validate the next items."""
        if self._cutter.total + len(items) > _MOST_ITEMS:  # before they are validated, which is the expensive part
            raise BatchRefused(
                BatchFault.TOO_MANY_ITEMS,
                f"validateOnly takes at most {_MOST_ITEMS} items. Send fewer, or the batch itself.",
            )
        self._judge(self._cutter.add(items))

    def finish(self) -> list[bytes]:
        """Return the results of the items in pieces of several items."""
        self._judge(self._cutter.finish())
        return self._pieces

    def _judge(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            try:
                judged, keys = validate(chunk.items, self._rules, chunk.refused), keys_of(chunk.items)
            except RecursionError:
                raise BatchRefused(
                    BatchFault.NOT_JSON, "The body is nested too deeply. Send an array of CareCase objects."
                ) from None
            outcomes = [one if isinstance(one, Outcome) else VALID for one in judged]
            self._pieces.append(self._form.whole(chunk.first, ChunkOutcomes(keys, outcomes, chunk.lines)))
