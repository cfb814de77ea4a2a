"""Sealed payloads: nothing of a case is to be seen, and each opens with its key, at its place, unchanged, for ever."""

import base64

import pytest
from tests.builders import a_batch, a_case, chunks_of

from carecase_worker.errors import PayloadUnreadable
from carecase_worker.jobs.chunks import Chunk, pack, unpack
from carecase_worker.jobs.seal import UNSEALED, Seals
from carecase_worker.jobs.verdicts import ChunkRef

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
HERE = ChunkRef("01a21195-5341-714a-a2f7-f52d649a206b", 7)
RECORDED = base64.b64decode(
    "ATwAAACDpWZpcnN0AKVjb3VudAKncmVmdXNlZIEB2SFpdGVtOiBtdXN0IGhhdmUgYXQgbW9zdCAyMDAgYnl0ZXMotS/9IFRtAgCChBAXgFVtsQpx"
    "8H7yRmIX/QVaaB9b00QzCCDKrsMXuHLf0IkCVanaZAx9pVzcA64+sJfbCZyLaJPpdoGhP2qgqkwHJAECAD4lhpZNPA=="
)
"""A payload of form 1, as it was written before there were seals."""
RECORDED_SEALED = base64.b64decode(
    "EAIAAAAEMjAyNmd2lwTjo/GwD7xPFFQnX7g8Xaw69PtX16Lb5ppvuxcCTNnEiE3lxSGG8VXB9RzgmgoTP9mCpDRGbPp6eHPFL2AYW+YMTqLWyka8"
    "bUHHyrxNd44JcCrQhCvcnn9rKZpzjqR7lZb3k01amW2Ch38kZ9evjHhHBovlXX6J6i27qPVZTUjIZng+8BpimbUEC8aeryOBAp9QnI8YE7X7ADWd"
    "cRvP+Jbc5Y+HKFxIG+yQFqb3fjJG"
)
"""The same, sealed with OLD, whose id is `2026`, at HERE."""
CHUNK = Chunk(
    first=0,
    count=2,
    items=b'[{"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": false, "case_ID": "one"},null]',
    refused={1: "item: must have at most 200 bytes"},
)


def a_payload() -> bytes:
    (chunk,) = chunks_of(a_batch(a_case(1, case_ID="Ozymandias")))
    return pack(chunk)


@pytest.mark.parametrize("seals", [UNSEALED, Seals({"2026": OLD})])
def test_what_was_written_before_there_were_seals_is_read_for_ever(seals: Seals) -> None:
    assert unpack(seals.open(RECORDED, HERE)) == CHUNK


def test_what_was_sealed_once_is_read_for_ever() -> None:
    assert unpack(Seals({"2026": OLD}).open(RECORDED_SEALED, HERE)) == CHUNK


def test_nothing_is_to_be_seen_and_no_two_are_alike() -> None:
    seals = Seals({"k": OLD})
    one, other = seals.seal(b"Ozymandias" * 10, HERE, 1), seals.seal(b"Ozymandias" * 10, HERE, 1)
    assert b"Ozymandias" not in one
    assert one != other
    assert seals.open(one, HERE) == seals.open(other, HERE) == b"Ozymandias" * 10


def test_the_first_key_seals_and_all_open() -> None:
    before = Seals({"old": OLD}).seal(a_payload(), HERE, 1)
    rotated = Seals({"new": NEW, "old": OLD})
    assert rotated.open(before, HERE) == a_payload()
    after = rotated.seal(a_payload(), HERE, 1)
    assert Seals({"new": NEW}).open(after, HERE) == a_payload()
    with pytest.raises(PayloadUnreadable, match="'new', which is not here"):
        Seals({"old": OLD}).open(after, HERE)


def test_another_key_of_the_same_name_opens_nothing() -> None:
    sealed = Seals({"k": OLD}).seal(a_payload(), HERE, 1)
    with pytest.raises(PayloadUnreadable, match="does not open with the key 'k'"):
        Seals({"k": NEW}).open(sealed, HERE)


@pytest.mark.parametrize("place", [ChunkRef(HERE.job_id, 8), ChunkRef(HERE.job_id.replace("a", "b"), 7)])
def test_a_payload_opens_at_its_place_only(place: ChunkRef) -> None:
    seals = Seals({"k": OLD})
    with pytest.raises(PayloadUnreadable):
        seals.open(seals.seal(a_payload(), HERE, 1), place)


def test_a_payload_that_was_changed_or_cut_does_not_open() -> None:
    seals = Seals({"k": OLD, "l": OLD})
    sealed = seals.seal(b"some payload", HERE, 1)
    for place in range(1, len(sealed)):
        changed = sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :]
        for broken in (changed, sealed[:place]):
            with pytest.raises(PayloadUnreadable) as refused:
                seals.open(broken, HERE)
            assert "some payload" not in str(refused.value)


def test_without_keys_nothing_is_sealed_and_sealed_ones_are_told() -> None:
    assert UNSEALED.seal(a_payload(), HERE, 1) == a_payload()
    with pytest.raises(PayloadUnreadable, match=r"encryption\.keys"):
        UNSEALED.open(Seals({"k": OLD}).seal(a_payload(), HERE, 1), HERE)
