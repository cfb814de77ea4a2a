"""Frames of zstd as they are gone over: whatever they hold and however they are cut, as the library has them."""

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from carecase_worker.batches.decoding import Decoder
from carecase_worker.batches.zstd_frames import PART_BYTES, Frames
from carecase_worker.errors import BatchRefused

MOST_DECODED = (256 + 128) << 10
"""What one part gives, and a block before it that was not whole until then."""
FLUSH, BLOCK = zstandard.COMPRESSOBJ_FLUSH_FINISH, zstandard.COMPRESSOBJ_FLUSH_BLOCK


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame of any form: skipped, in one segment or with a window, with or without size and checksum."""
    if draw(st.integers(0, 4)) == 0:
        content = draw(st.binary(max_size=30))
        return bytes([0x50 + draw(st.integers(0, 15))]) + b"\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    parameters = zstandard.ZstdCompressionParameters.from_level(
        draw(st.sampled_from([1, 3, 19])),
        write_checksum=draw(st.booleans()),
        write_content_size=draw(st.booleans()),
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    parts = draw(st.lists(st.binary(max_size=200) | st.sampled_from([b" " * 300_000, b"ab" * 100]), max_size=3))
    if draw(st.booleans()):
        return compressor.compress(b"".join(parts))
    stream = compressor.compressobj()
    return b"".join(stream.compress(part) + stream.flush(BLOCK) for part in parts) + stream.flush(FLUSH)


def as_the_library_has_it(sent: bytes) -> tuple[bytes, bool]:
    """The content of frames as far as they came, and whether they came whole."""
    decoder, decoded, frame = zstandard.ZstdDecompressor(), b"", None
    while sent:
        if frame is None or frame.eof:
            frame = decoder.decompressobj()
        decoded += frame.decompress(sent)
        sent = frame.unused_data
    return decoded, frame is None or frame.eof


@settings(deadline=None)
@given(
    st.lists(frames(), max_size=4).map(b"".join),
    st.sampled_from([1, 2, 3, 7, 18, 100, 1 << 20]),
    st.none() | st.integers(0, 300),
)
def test_frames_decode_as_the_library_says_in_small_parts(sent: bytes, cut: int, broken_off_at: int | None) -> None:
    sent = sent[:broken_off_at]
    expected = as_the_library_has_it(sent)
    decoder = Decoder("zstd")
    parts: list[bytes] = []
    for start in range(0, len(sent), cut):
        parts += decoder.decode(sent[start : start + cut])
    try:
        decoder.finish()
        is_whole = True
    except BatchRefused:
        is_whole = False
    assert (b"".join(parts), is_whole) == expected
    assert max(map(len, parts), default=0) <= MOST_DECODED


@pytest.mark.parametrize("level", [1, 19])
def test_a_part_of_whole_blocks_decodes_to_256_kib_at_most(level: int) -> None:
    sent = zstandard.ZstdCompressor(level=level).compress(b" " * (2 << 20))
    sizes, decoder = [], zstandard.ZstdDecompressor().decompressobj()
    for part in Frames().parts(sent):
        sizes.append(len(decoder.decompress(part)))
    assert sum(sizes) == 2 << 20
    assert max(sizes) <= PART_BYTES


# a frame with a window of 8 MiB: blocks of one byte that is repeated 128 Ki times, and an empty last one
REPEATED = b"\x28\xb5\x2f\xfd\x00\x68" + (((128 << 10) << 3 | 1 << 1).to_bytes(3, "little") + b" ") * 512 + b"\1\0\0"


@pytest.mark.parametrize("sent", [REPEATED, zstandard.compress(b" " * (64 << 20))], ids=["by hand", "by the library"])
def test_a_bomb_decodes_in_small_parts_though_it_comes_at_once(sent: bytes) -> None:
    sizes = [len(part) for part in Decoder("zstd").decode(sent)]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= MOST_DECODED
