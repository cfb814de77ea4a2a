"""Bodies on their way into batches: what they hold is what is counted, and none keeps a thread from the others."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest
import zstandard
from tests.steps import steps_each
from tests.traced_memory import traced_memory

from carecase_worker.batches.body import Body
from carecase_worker.batches.chunking import Chunker, ChunkLimits
from carecase_worker.batches.decoding import Decoder
from carecase_worker.errors import BatchFault, BatchRefused, RateExceeded
from carecase_worker.files.media_types import BodyFormat, MediaType
from carecase_worker.intake.batches.upload import Incoming
from carecase_worker.intake.limits.bodies import Bodies
from carecase_worker.intake.limits.threads import Processor
from carecase_worker.settings.sections.intake import IntakeSettings

KIB, MIB = 1 << 10, 1 << 20
SMALL_AROUND, LARGE_AROUND, CUT_FROM = 64 * KIB, 448 * KIB, 640 * KIB
"""What a small and a large body count beside what its parts hold: docs/configuration.md."""
ENCODERS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
}


class Batch:
    """A batch of which every chunk is gone as soon as it is cut."""

    def __init__(self) -> None:
        self._cutter = Chunker(ChunkLimits(1000, 4 * MIB, 256 * KIB))

    @property
    def buffered_bytes(self) -> int:
        return self._cutter.buffered_bytes

    @property
    def total(self) -> int:
        return self._cutter.total

    @property
    def is_busy(self) -> bool:
        return False

    def add(self, items: Sequence[msgspec.Raw]) -> None:
        for _ in self._cutter.add(items):
            pass


class BusyBatch(Batch):
    """A batch of which some chunks are still in the hands of threads."""

    @property
    def is_busy(self) -> bool:
        return True


def bodies_of(**settings: int) -> Bodies:
    intake = IntakeSettings.model_validate(settings)
    return Bodies(intake, Processor(intake))


def case_of(size: int) -> bytes:
    return b'{"case_Key":1,"x":"%b"}' % (b"y" * (size - 24))


def cases(count: int, size: int, blanks: int = 0) -> bytes:
    return b"[" + b",".join([case_of(size) + b" " * blanks] * count)


def body_of(encoding: str | None = None, form: BodyFormat = BodyFormat.ARRAY) -> Body:
    return Body(Decoder(encoding), MediaType(form).splitter(None), 1 << 30)


def open_now(bodies: Bodies, what: str = "bytes") -> float:
    return next(one.value for one in bodies.samples() if one.name == f"carecase_open_{what}")


async def pieces_of(sent: bytes, size: int = 64 * KIB) -> AsyncIterator[bytes]:
    for start in range(0, len(sent), size):
        yield sent[start : start + size]


BEGINNINGS: dict[str, tuple[str | None, BodyFormat, bytes]] = {
    "cases": (None, BodyFormat.ARRAY, cases(20_000, 590)),
    "items of a quarter megabyte": (None, BodyFormat.ARRAY, cases(15, 256 * KIB)),
    "items of four kilobytes": (None, BodyFormat.ARRAY, cases(999, 4 * KIB)),
    "items far from each other": (None, BodyFormat.ARRAY, cases(900, 60, blanks=4000)),
    "items as large as the blanks between them": (None, BodyFormat.ARRAY, cases(900, 3000, blanks=2900)),
    "tiny items": (None, BodyFormat.ARRAY, b"[" + b"0," * (300 * KIB)),
    "one long string": (None, BodyFormat.ARRAY, b'["' + b"x" * (500 * KIB)),
    "a line that may be the only one": (None, BodyFormat.LINES, case_of(256 * KIB) + b"\n"),
    "lines": (None, BodyFormat.LINES, b"\n".join([case_of(4 * KIB)] * 900)),
    "tiny members of gzip": ("gzip", BodyFormat.ARRAY, gzip.compress(b"[1") + gzip.compress(b"  ") * 20_000),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_memory_of_a_body_that_is_left_open_is_counted(name: str) -> None:
    encoding, form, sent = BEGINNINGS[name]
    body, batch = body_of(encoding, form), Batch()
    with traced_memory() as memory:
        for start in range(0, len(sent), 300 * KIB):
            for items in body.take(bytes(memoryview(sent)[start : start + 300 * KIB])):
                batch.add(items)
                del items
            memory_bytes = memory.now
            counted = body.buffered_bytes + batch.buffered_bytes
            assert memory_bytes <= counted + CUT_FROM
            assert counted <= 2 * memory_bytes + 64 * KIB, "and not much more"


# RFC 8878: a window descriptor of 0x68 says 8 MiB; an empty last block
WINDOW_OF_8_MIB = b"\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00"


@pytest.mark.parametrize(
    ("encoding", "sent", "least", "most"),
    [
        (None, b"[1]", 0, 0),
        ("gzip", gzip.compress(b"[1]"), 40 * KIB, 64 * KIB),
        ("zstd", zstandard.compress(b"[1]"), 90 * KIB, 512 * KIB),
        ("zstd", WINDOW_OF_8_MIB, 8 * MIB, 9 * MIB),
        ("zstd", WINDOW_OF_8_MIB * 100, 8 * MIB, 9 * MIB),
    ],
)
def test_what_decoding_needs_is_counted_from_the_first_byte_on(
    encoding: str | None, sent: bytes, least: int, most: int
) -> None:
    decoder = Decoder(encoding)
    assert decoder.buffered_bytes == 0
    for _ in decoder.decode(sent):
        pass
    assert least <= decoder.buffered_bytes <= most


@pytest.mark.parametrize("size", [1000, 250 * KIB, 500 * KIB])
@pytest.mark.parametrize("form", [BodyFormat.ARRAY, BodyFormat.LINES, BodyFormat.DELIMITED])
def test_an_item_that_is_not_whole_is_counted(form: BodyFormat, size: int) -> None:
    body, sent = body_of(form=form), b'["' + b"x" * size
    list(body.take(sent if form is BodyFormat.ARRAY else sent[1:]))
    assert size <= body.buffered_bytes <= size + 2


def test_a_body_that_is_left_open_is_counted() -> None:
    bodies = bodies_of()
    sent = cases(900, 4 * KIB)  # fewer than a chunk has

    async def stream(received: asyncio.Event) -> AsyncIterator[bytes]:
        async for piece in pieces_of(sent):
            yield piece
        await received.wait()
        raise BatchRefused(BatchFault.BROKEN_OFF, "it broke off")

    async def look() -> None:
        body, batch, end = body_of(), Batch(), asyncio.Event()
        with bodies.open("ann", 0) as opened:
            receiving = asyncio.ensure_future(Incoming(body, batch, opened).receive(stream(end), lambda: None))
            least, most = (LARGE_AROUND + CUT_FROM + size for size in (2 * 3 * MIB, 2 * 4 * MIB))
            async with asyncio.timeout(60):
                while open_now(bodies) < least:
                    await asyncio.sleep(0.001)  # bytes that are counted wake nobody
            assert open_now(bodies) < most
            end.set()
            with pytest.raises(BatchRefused, match="broke off"):
                await receiving
        assert open_now(bodies) == 0

    asyncio.run(look())


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("count", [1, 40, 12_000, 200_000])
def test_the_batch_has_every_item_when_it_ends_and_nothing_is_open_after_that(encoding: str | None, count: int) -> None:
    bodies, batch = bodies_of(), Batch()
    sent = str(list(range(10**24, 10**24 + count))).encode()

    async def receive() -> int:
        body = body_of(encoding)
        with bodies.open("ann", 0) as opened:
            stream = pieces_of(ENCODERS[encoding](sent))
            return await Incoming(body, batch, opened).receive(stream, lambda: batch.total)

    assert asyncio.run(receive()) == count
    assert open_now(bodies) == 0


def test_what_has_been_split_is_not_counted_as_waiting_while_the_answer_is_sent() -> None:
    bodies = bodies_of()

    async def receive() -> float:
        with bodies.open("ann", 0) as opened:
            await Incoming(body_of(), Batch(), opened).receive(pieces_of(cases(100, 600) + b"]"), lambda: None)
            return open_now(bodies)

    assert asyncio.run(receive()) == SMALL_AROUND


def test_a_bomb_gives_the_other_bodies_of_its_client_turns() -> None:
    bodies = bodies_of(body_threads_per_client=1)
    bomb, seen = body_of("zstd"), []

    async def receive(body: Body, sent: bytes, then: Callable[[], None]) -> None:
        with bodies.open("ann", 0) as opened:
            await Incoming(body, Batch(), opened).receive(pieces_of(sent), then)

    async def both() -> None:
        await asyncio.gather(
            receive(bomb, zstandard.compress(b"[1" + b" " * (32 * MIB) + b"]"), lambda: seen.append(bomb.size)),
            receive(body_of(), b"[1]", lambda: seen.append(bomb.size)),
        )

    asyncio.run(both())
    first, last = seen
    assert first <= 4 * MIB < last == 32 * MIB + 3


def test_a_body_that_would_need_more_memory_than_its_client_may_have_is_refused() -> None:
    bodies = bodies_of(max_open_bytes_per_client=4 * MIB)

    async def receive(sent: bytes) -> None:
        body = body_of("zstd")
        with bodies.open("ann", 0) as opened:
            await Incoming(body, Batch(), opened).receive(pieces_of(sent), lambda: None)

    asyncio.run(receive(zstandard.compress(b"[1" + b" " * (3 * MIB) + b"]")))
    with pytest.raises(RateExceeded, match="take too much memory"):  # one that has a window of 8 MiB and goes on
        asyncio.run(receive(WINDOW_OF_8_MIB + zstandard.compress(b"[1" + b" " * (3 * MIB) + b"]")))
    assert open_now(bodies) == 0


def frames_of(text: bytes, count: int) -> bytes:
    return zstandard.compress(text) * count


FLUSHED = zstandard.ZstdCompressor(level=1).compressobj()
CRUMBS: dict[str, tuple[str, bytes]] = {
    "empty frames": ("zstd", frames_of(b"", 40_000)),
    "frames of a byte": ("zstd", frames_of(b" ", 40_000)),
    "frames that are skipped": ("zstd", b"\x50\x2a\x4d\x18\0\0\0\0" * 40_000),
    "empty frames with large windows": ("zstd", WINDOW_OF_8_MIB * 40_000),
    "large windows and small ones": ("zstd", (WINDOW_OF_8_MIB + WINDOW_OF_8_MIB.replace(b"\x68", b"\0")) * 20_000),
    "empty blocks": ("zstd", WINDOW_OF_8_MIB[:6] + bytes(3) * 100_000),
    "blocks of a byte": ("zstd", WINDOW_OF_8_MIB[:6] + b"\x08\x00\x00 " * 100_000),
    "small compressed blocks": (
        "zstd",
        b"".join(FLUSHED.compress(b" " * 40) + FLUSHED.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for _ in range(50_000)),
    ),
    "empty members": ("gzip", gzip.compress(b"") * 20_000),
    "members of a byte": ("gzip", gzip.compress(b" ") * 20_000),
    "zeros behind a member": ("gzip", gzip.compress(b"[1]") + bytes(400_000)),
}
STEPS_A_BYTE = 60  # four times what the dearest of them takes


@pytest.mark.parametrize("name", CRUMBS)
def test_what_decodes_to_next_to_nothing_costs_no_more_than_its_bytes(name: str) -> None:
    encoding, sent = CRUMBS[name]

    def take() -> None:
        body = body_of(encoding)
        for start in range(0, len(sent), 64 * KIB):
            for _ in body.take(sent[start : start + 64 * KIB]):
                pass

    assert steps_each(take, len(sent), STEPS_A_BYTE) < STEPS_A_BYTE


@pytest.mark.parametrize(("batch", "on_the_loop"), [(Batch, True), (BusyBatch, False)])
def test_a_small_body_takes_no_thread_unless_threads_have_to_be_waited_for(
    batch: type[Batch], on_the_loop: bool
) -> None:
    async def ended_by() -> int:
        with bodies_of().open("ann", 0) as opened:
            incoming = Incoming(body_of(), batch(), opened, 16 * KIB)
            return await incoming.receive(pieces_of(cases(2, 60) + b"]"), threading.get_ident)

    assert (asyncio.run(ended_by()) == threading.get_ident()) is on_the_loop


@pytest.mark.parametrize(("size", "large"), [(256 * KIB, 0), (300 * KIB, 1)])
def test_a_body_of_an_unknown_length_that_comes_bit_by_bit_is_large_in_the_end(size: int, large: int) -> None:
    async def received(bodies: Bodies) -> float:
        with bodies.open("ann", 0) as opened:
            sent = cases(size // 1000, 980) + b"]"
            return await Incoming(body_of(), Batch(), opened).receive(
                pieces_of(sent, 16), lambda: open_now(bodies, "bodies")
            )

    assert asyncio.run(received(bodies_of())) == large
