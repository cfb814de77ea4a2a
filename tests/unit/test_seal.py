"""Sealed texts: nothing of a case is to be seen, and each opens with its key, at its place, unchanged, for ever."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from carecase_worker.batches.binding import Binding, Order
from carecase_worker.batches.chunking import Chunk, ChunkRef
from carecase_worker.batches.encryption import UNSEALED, DataKey, Kind, Seals
from carecase_worker.batches.payloads import pack, unpack
from carecase_worker.errors import PayloadUnreadable, SealBroken

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
HERE = ChunkRef("01a21195-5341-714a-a2f7-f52d649a206b", 7)
JOB = Binding(HERE.job_id, "ann", "her token", "demo", 5, 2000, 8, False)
DIGEST = "0123456789abcdef" * 4
RECORDED = base64.b64decode(
    "ATwAAACDpWZpcnN0AKVjb3VudAKncmVmdXNlZIEB2SFpdGVtOiBtdXN0IGhhdmUgYXQgbW9zdCAyMDAgYnl0ZXMotS/9IFRtAgCChBAXgFVtsQpx"
    "8H7yRmIX/QVaaB9b00QzCCDKrsMXuHLf0IkCVanaZAx9pVzcA64+sJfbCZyLaJPpdoGhP2qgqkwHJAECAD4lhpZNPA=="
)
"""A payload of form 1, as it was written before there were seals."""
RECORDED_16 = base64.b64decode(
    "EAIAAAAEMjAyNmd2lwTjo/GwD7xPFFQnX7g8Xaw69PtX16Lb5ppvuxcCTNnEiE3lxSGG8VXB9RzgmgoTP9mCpDRGbPp6eHPFL2AYW+YMTqLWyka8"
    "bUHHyrxNd44JcCrQhCvcnn9rKZpzjqR7lZb3k01amW2Ch38kZ9evjHhHBovlXX6J6i27qPVZTUjIZng+8BpimbUEC8aeryOBAp9QnI8YE7X7ADWd"
    "cRvP+Jbc5Y+HKFxIG+yQFqb3fjJG"
)
"""The same, sealed with OLD, whose id is `2026`, at HERE, as it was before jobs had data keys."""
CHUNK = Chunk(
    first=0,
    count=2,
    items=b'[{"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": false, "case_ID": "one"},null]',
    refused={1: "item: must have at most 200 bytes"},
)
ORDER = Order(1_764_000_000_123, 1_764_000_000_123_456)
WRAPPED = (
    "AQQyMDI2cczJSssOwRgAAQIDBAUGBwgJCgsiE4ckwQaVsiEXk+zn9rsNKRt3Bt9F+uqYC0lWi4sdE1mbH9+SzoMTirOcM0TDsYg/J7rcilCU/yl9"
    "4iguHXrGHbQbKIcztmsm5NyRdbZRJMJf"
)
"""The data key of JOB, wrapped by OLD, whose id is `2026`, with DIGEST and the Idempotency-Key `k`."""
RECORDED_17 = base64.b64decode(
    "EQABAgMEBQYHCAkKC56XOEy9zmSP9GHtvJY/692ceUmSinG1Q7JhjG/S7ZjB2UKpuRcKb7/xpcCFd5kjaLU0/9wNkB0ipo4yjqAQaJWsKg7wlK04"
    "KsrmAyt5t/LIuY8Ngvr6F529cfomT2K5izDGCjf/Riem4lpBv+UE2RFMWf+kEhfalcMNrvxj0D/XG9lGTePigWnTW1du757w5JWP30Q7Cxu3if3H"
    "5kH83cEEGEghxcKE"
)
"""The same payload, sealed with that data key at HERE."""
SIGNATURE = "edb0c9f6f9d001f3f77ea63078b1f213a4204acc"
"""What that data key signs ORDER with."""


def a_key(seals: Seals, wrapped: str, job: Binding = JOB) -> Any:
    return seals.opened(wrapped, job).key


def a_sealed_job(seals: Seals, sent_key: str | None = None) -> tuple[str, DataKey]:
    """The wrapped data key of a job, and what it opens to."""
    key = seals.new_key()
    assert key is not None
    return seals.wrap(key, JOB, DIGEST, sent_key), key


@pytest.mark.parametrize("seals", [UNSEALED, Seals({"2026": OLD}, required=False)])
def test_what_was_written_before_there_were_seals_is_read_for_ever(seals: Seals) -> None:
    assert unpack(a_key(seals, "").open(Kind.PAYLOAD, HERE, RECORDED)) == CHUNK


def test_what_was_sealed_before_there_were_data_keys_is_read_for_ever() -> None:
    seals = Seals({"new": NEW, "2026": OLD}, required=False)
    assert unpack(a_key(seals, "").open(Kind.PAYLOAD, HERE, RECORDED_16)) == CHUNK
    for place in (replace(HERE, chunk_no=8), replace(HERE, job_id=HERE.job_id.replace("a", "b"))):
        with pytest.raises(PayloadUnreadable, match="does not open with the key '2026'"):
            a_key(seals, "").open(Kind.PAYLOAD, place, RECORDED_16)
    with pytest.raises(PayloadUnreadable, match=r"the key '2026', which is not configured; add it to encryption\.keys"):
        a_key(Seals({"new": NEW}, required=False), "").open(Kind.PAYLOAD, HERE, RECORDED_16)


def test_what_was_cut_of_what_was_sealed_before_there_were_data_keys_does_not_open() -> None:
    key = a_key(Seals({"new": NEW, "2026": OLD}, required=False), "")
    for size in range(1, len(RECORDED_16)):
        with pytest.raises(PayloadUnreadable):
            key.open(Kind.PAYLOAD, HERE, RECORDED_16[:size])


def test_what_was_sealed_before_there_were_data_keys_and_names_no_key_does_not_open() -> None:
    """The name is ASCII, so that other bytes are damage."""
    with pytest.raises(PayloadUnreadable, match="which is not configured"):
        a_key(UNSEALED, "").open(Kind.PAYLOAD, HERE, RECORDED_16.replace(b"2026", b"\xff026", 1))


def test_a_job_without_a_data_key_has_none_to_be_wrapped_anew() -> None:
    with pytest.raises(SealBroken, match="the job has no data key"):
        Seals({"new": NEW}, required=False).rewrapped("", JOB)


def test_what_was_sealed_with_a_data_key_is_read_for_ever() -> None:
    opened = Seals({"new": NEW, "2026": OLD}).opened(WRAPPED, JOB)
    assert (opened.body_sha256, opened.idempotency_key) == (DIGEST, "k")
    assert unpack(opened.key.open(Kind.PAYLOAD, HERE, RECORDED_17)) == CHUNK
    opened.key.require_order(ORDER, SIGNATURE)


def test_once_there_are_keys_a_job_that_is_not_sealed_opens_only_if_that_is_allowed() -> None:
    with pytest.raises(PayloadUnreadable, match=r"encryption\.required = false"):
        Seals({"k": OLD}).opened("", JOB)
    assert Seals({}, required=True).opened("", JOB).key.open(Kind.RESULT, HERE, b"a result") == b"a result"
    assert Seals({"k": OLD}, required=False).opened("", JOB).key.open(Kind.RESULT, HERE, b"a result") == b"a result"


@pytest.mark.parametrize("required", [True, False])
def test_of_a_sealed_job_nothing_opens_that_is_not_sealed(required: bool) -> None:
    """Not in migration either: what an older version sealed belongs to a job that has no data key."""
    seals = Seals({"2026": OLD}, required)
    key = a_key(seals, a_sealed_job(seals)[0])
    for planted in (RECORDED, RECORDED_16, b""):
        with pytest.raises(SealBroken, match="payload of the chunk is not sealed with the job's data key"):
            key.open(Kind.PAYLOAD, HERE, planted)


def test_nothing_is_to_be_seen_and_no_two_are_alike() -> None:
    seals, text = Seals({"k": OLD}), b"Ozymandias" * 10
    (wrapped, key), (_, other) = a_sealed_job(seals, "Ozymandias"), a_sealed_job(seals)
    sealed = [one.seal(Kind.PAYLOAD, HERE, text) for one in (key, key, other)]
    assert len({*sealed}) == 3
    assert seals.wrap(key, JOB, DIGEST) != seals.wrap(key, JOB, DIGEST), "no nonce is used twice"
    assert not [one for one in (*sealed, base64.b64decode(wrapped)) if b"Ozymandias" in one]
    assert bytes.fromhex(DIGEST) not in base64.b64decode(wrapped)
    assert a_key(seals, wrapped).open(Kind.PAYLOAD, HERE, sealed[0]) == text
    with pytest.raises(SealBroken):
        other.open(Kind.PAYLOAD, HERE, sealed[0])


@pytest.mark.parametrize("sent_key", [None, "", "k", "Schlüssel"])
def test_the_sender_is_shown_the_digest_and_the_key_that_it_sent(sent_key: str | None) -> None:
    seals = Seals({"k": OLD})
    opened = seals.opened(a_sealed_job(seals, sent_key)[0], JOB)
    assert (opened.body_sha256, opened.idempotency_key) == (DIGEST, sent_key)


def test_the_first_key_wraps_and_all_open() -> None:
    old, rotated = Seals({"old": OLD}), Seals({"new": NEW, "old": OLD})
    (before, key), (after, _) = a_sealed_job(old), a_sealed_job(rotated)
    assert a_key(rotated, before).open(Kind.RESULT, HERE, key.seal(Kind.RESULT, HERE, b"told")) == b"told"
    assert Seals({"new": NEW}).opened(after, JOB).body_sha256 == DIGEST
    with pytest.raises(PayloadUnreadable, match="'new', which is not configured"):
        old.opened(after, JOB)
    with pytest.raises(PayloadUnreadable, match="does not open with the key 'old'"):
        Seals({"old": NEW}).opened(before, JOB)


@pytest.mark.parametrize(
    ("seals", "is_own"),
    [
        (Seals({"2026": OLD}), True),
        (Seals({"2026": OLD, "new": NEW}), True),
        (Seals({"new": NEW, "2026": OLD}), False),
        (Seals({"2026": NEW}), False),
        (UNSEALED, False),
    ],
)
def test_a_data_key_needs_no_other_wrapping_only_if_the_first_key_itself_wraps_it(seals: Seals, is_own: bool) -> None:
    """A key that has only the id of the first one would be destroyed, and the job with it."""
    assert seals.is_own(WRAPPED) == is_own


@pytest.mark.parametrize("sent_key", [None, "k", "k\nreferrals"])
def test_what_is_wrapped_anew_is_as_complete_as_before(sent_key: str | None) -> None:
    """Otherwise, a repeated request would be another job after the next key."""
    wrapped, key = a_sealed_job(Seals({"old": OLD}), sent_key)
    anew, mark = Seals({"new": NEW, "old": OLD}).rewrapped(wrapped, JOB)
    later = Seals({"new": NEW})
    opened = later.opened(anew, JOB)
    assert (opened.body_sha256, opened.idempotency_key) == (DIGEST, sent_key)
    assert opened.key.open(Kind.RESULT, HERE, key.seal(Kind.RESULT, HERE, b"told")) == b"told"
    assert mark == (None if sent_key is None else later.marks(sent_key, JOB, DIGEST)[0])


def test_the_facts_of_a_job_are_bound_each_as_what_it_is() -> None:
    facts = replace(JOB, strict=True, dry_run=True)
    assert Binding.of(facts, JOB.job_id, JOB.chunks) == facts


@pytest.mark.parametrize(
    "job",
    [
        replace(JOB, job_id=JOB.job_id.replace("a", "b")),
        replace(JOB, client="bob"),
        replace(JOB, user="his token"),
        replace(JOB, database="other"),
        replace(JOB, care_plan=6),
        replace(JOB, care_plan=None),
        replace(JOB, total=1999),
        replace(JOB, chunks=7),
        replace(JOB, strict=True),
        replace(JOB, dry_run=True),
        replace(JOB, client="annh", user="er token"),
    ],
)
def test_a_data_key_opens_for_its_job_as_it_was_admitted_only(job: Binding) -> None:
    seals = Seals({"k": OLD})
    wrapped, _ = a_sealed_job(seals)
    with pytest.raises(SealBroken, match="the job's record was modified, or its data key is another job's"):
        seals.opened(wrapped, job)


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (Kind.PAYLOAD, replace(HERE, chunk_no=8)),
        (Kind.PAYLOAD, replace(HERE, job_id=HERE.job_id.replace("a", "b"))),
        (Kind.RESULT, HERE),
    ],
)
def test_a_sealed_text_opens_at_its_place_only(kind: Kind, place: ChunkRef) -> None:
    key = DataKey.new()
    sealed = key.seal(Kind.PAYLOAD, HERE, b"some payload")
    with pytest.raises(SealBroken, match="of the chunk was modified, or belongs to another chunk or job") as refused:
        key.open(kind, place, sealed)
    assert "some payload" not in str(refused.value)


def every_change(sealed: bytes) -> list[bytes]:
    """A text with one bit turned, at each byte, and what is left of it when it is cut there."""
    changed = [sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :] for at in range(len(sealed))]
    return [*changed, *(sealed[:at] for at in range(len(sealed)))]


def test_a_text_that_was_changed_or_cut_does_not_open() -> None:
    key = DataKey.new()
    for broken in every_change(key.seal(Kind.PAYLOAD, HERE, b"some payload")):
        with pytest.raises(SealBroken):
            key.open(Kind.PAYLOAD, HERE, broken)


def test_a_data_key_of_a_newer_version_waits_for_an_upgrade() -> None:
    """Nobody has changed it: its items must not be answered as if somebody had."""
    seals = Seals({"old": OLD})
    newer = bytearray(base64.b64decode(a_sealed_job(seals)[0]))
    newer[0] += 1
    with pytest.raises(PayloadUnreadable, match="upgrade carecase-worker"):
        seals.opened(base64.b64encode(newer).decode(), JOB)


def test_a_data_key_that_was_changed_or_cut_does_not_open() -> None:
    seals = Seals({"k": OLD, "j": OLD, "l": OLD}, required=False)
    raw = base64.b64decode(a_sealed_job(seals)[0])
    for broken in every_change(raw)[: -len(raw)] + every_change(raw)[len(raw) + 1 :]:
        with pytest.raises((SealBroken, PayloadUnreadable)):
            seals.opened(base64.b64encode(broken).decode(), JOB)
    for nonsense in ("AQ", "!", "AQ==", "é"):
        with pytest.raises(SealBroken):
            seals.opened(nonsense, JOB)


def signed(key: DataKey, noted: str) -> str:
    """The signature that a script makes with the two blocks of a key: HMAC as RFC 2104 has it, written out."""
    inner, outer = key.order_blocks()
    digest = hashlib.sha1(inner + noted.encode(), usedforsecurity=False).digest()
    return hashlib.sha1(outer + digest, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("noted", "order"),
    [
        ("1764000000123|1764000000123456|0", ORDER),
        ("1764000000123|1764000000123456|1", replace(ORDER, unsettled=True)),
        ("1764000000123|1764000000123456|1", replace(ORDER, moved=0)),
        ("1764000000123|1764000000123456|1", replace(ORDER, seq=1_764_000_060_123, moved=60_000)),
    ],
)
def test_the_order_is_compared_with_what_was_signed(noted: str, order: Order) -> None:
    key = DataKey.new()
    signature = signed(key, noted)
    key.require_order(order, signature)
    spoilt: list[Callable[[Order], Order]] = [
        lambda it: replace(it, seq=it.seq + 1),
        lambda it: replace(it, seq=it.seq - 1),
        lambda it: replace(it, accepted_us=it.accepted_us + 1),
        lambda it: replace(it, moved=(it.moved or 0) + 1),
        lambda it: replace(it, moved=-1, seq=it.seq - 1 - (it.moved or 0)),
        lambda it: replace(it, unsettled=not (it.unsettled or it.moved is not None), moved=None),
    ]
    for spoil in spoilt:
        with pytest.raises(SealBroken, match="place in the order of acceptance"):
            key.require_order(spoil(order), signature)
    for other in ("", signature[:-1], signed(DataKey.new(), noted), "é"):
        with pytest.raises(SealBroken):
            key.require_order(order, other)


def test_a_dry_run_is_another_job_to_its_data_key_and_another_form_to_its_worker() -> None:
    seals = Seals({"k": NEW})
    wrapped, _ = a_sealed_job(seals)
    with pytest.raises(SealBroken):
        seals.opened(wrapped, replace(JOB, dry_run=True))
    dry = replace(CHUNK, dry_run=True)
    assert (pack(dry)[:1], unpack(pack(dry))) == (b"\x02", dry)
    assert (pack(CHUNK)[:1], unpack(pack(CHUNK))) == (b"\x01", CHUNK)
