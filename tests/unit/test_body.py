"""A body as it comes in: decoded in bounded pieces, bounded as a whole, on disk once it is large."""

import gzip
import hashlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.errors import BacklogFull, BatchFault, BatchRefused
from carecase_worker.intake.body import Body, Decoder, Form, form_of

LARGE = 3 << 20
ENCODERS = {None: bytes, "identity": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}


def received(body: bytes, encoding: str | None, pieces: int, max_bytes: int = 1 << 30) -> Body:
    taken = Body(Decoder(encoding), max_bytes, None)
    size = max(1, len(body) // pieces)
    for start in range(0, len(body), size):
        taken.write(body[start : start + size])
    return taken


@pytest.mark.parametrize("encoding", ENCODERS)
@given(numbers=st.lists(st.integers(), min_size=1), pieces=st.integers(1, 50))
def test_a_body_is_what_was_sent_however_it_is_cut(encoding: str | None, numbers: list[int], pieces: int) -> None:
    plain = str(numbers).encode()
    with received(ENCODERS[encoding](plain), encoding, pieces) as body:
        assert (body.size, body.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())
        items = body.split(Form.ARRAY)
        assert [int(bytes(raw)) for raw in items.slices(0, len(items))] == numbers


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_large_body_is_split_from_the_disk(encoding: str | None) -> None:
    plain = b"[" + b",".join(b"%07d" % n for n in range(1_000_000, 1_000_000 + LARGE // 8)) + b"]"
    with received(ENCODERS[encoding](plain), encoding, 40) as body:
        assert len(body.split(Form.ARRAY)) == LARGE // 8


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_decoded(encoding: str) -> None:
    bomb = ENCODERS[encoding](bytes(64 << 20))
    with pytest.raises(BatchRefused) as refused:
        received(bomb, encoding, 1, max_bytes=LARGE)
    assert refused.value.fault is BatchFault.TOO_LARGE


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("broken", ["cut", "spoilt"])
def test_a_broken_body_is_refused(encoding: str, broken: str) -> None:
    whole = ENCODERS[encoding](b"[1]\n" * 1000)
    sent = whole[:-5] if broken == "cut" else b"x" + whole[1:]
    with pytest.raises(BatchRefused) as refused:
        received(sent, encoding, 3).split(Form.LINES)
    assert refused.value.fault is BatchFault.BROKEN_ENCODING


def test_a_full_disk_is_told_as_no_room(tmp_path: Path) -> None:
    with Body(Decoder(None), 1 << 30, tmp_path / "gone") as body, pytest.raises(BacklogFull):
        body.write(bytes(LARGE))


@pytest.mark.parametrize("kind", ["application/json", "text/json; charset=utf-8", "application/vnd.x+json"])
def test_json_by_any_of_its_names_is_an_array(kind: str) -> None:
    assert form_of(kind) is Form.ARRAY
    assert form_of(kind.upper()) is Form.ARRAY


@pytest.mark.parametrize("kind", [None, "", "text/csv", "application/xml", "image/x+json"])
def test_anything_else_is_none_of_ours(kind: str | None) -> None:
    with pytest.raises(BatchRefused) as refused:
        form_of(kind)
    assert refused.value.fault is BatchFault.MEDIA_TYPE
