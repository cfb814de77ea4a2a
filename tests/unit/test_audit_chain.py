"""The chain of the audit log: what stands in a line, and what is noticed of a change, by hand and by accident."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.audit.records import BEGINNING, Act, Event, Head, Key, chained, mended, record_of
from carecase_worker.audit.verification import Verification

AT = datetime(2026, 11, 26, 22, 33, 44, 5, tzinfo=UTC)
ACT = Act(Event.READ, "acme", 'ada "the" first\N{LATIN SMALL LETTER E WITH ACUTE}', "192.0.2.7", "demo", "j1", 3, "a1")
K1, K2 = Key("k1", b"1" * 32), Key("k2", b"2" * 32)
KEYS = {"k1": K1.secret, "k2": K2.secret}
MADE_UP = "f" * 64


def a_log(*keys: Key | None, first: Head = BEGINNING) -> list[bytes]:
    """The lines of a log, one record by each key."""
    lines, head = [], first
    for count, key in enumerate(keys):
        act = Act(Event.READ, "acme", "ada", None, "demo", f"job {count}", count)
        line, head = chained(head, AT + timedelta(seconds=count), act.members(), key)
        lines.append(line)
    return lines


PLAIN = a_log(*[None] * 6)


def head_of(line: bytes) -> Head:
    record = json.loads(line)
    return Head(record["number"], record["hash"])


def verified(lines: Sequence[bytes], keys: Mapping[str, bytes] | None = None, *noted: Head) -> Verification:
    made = Verification(keys or {}, noted)
    for number, line in enumerate(lines, 1):
        made.feed(f"line {number}", line)
    made.finish()
    return made


def outcome(lines: Sequence[bytes], keys: Mapping[str, bytes] | None = None, *noted: Head) -> Any:
    made = verified(lines, keys, *noted)
    assert made.fault_count == len(made.faults)
    return made.faults, made.notes


def resealed(line: bytes, secret: bytes | None = None, **changes: Any) -> bytes:
    """A record with other members and a digest that is right for them, as whoever knows the form makes it."""
    record = {**json.loads(line), **changes}
    del record["hash"]
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()[:-1]
    digest = hmac.new(secret, text, "sha256").hexdigest() if secret else hashlib.sha256(text).hexdigest()
    return text + f',"hash":"{digest}"}}\n'.encode()


def test_a_record_is_a_line_of_json_whose_digest_is_of_all_before_it() -> None:
    line, head = chained(Head(41, "a" * 64), AT.astimezone(timezone(timedelta(hours=2))), ACT.members(), None)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    record = json.loads(line)
    assert list(record.items()) == [
        ("number", 42),
        ("at", "2026-11-26T22:33:44.000005Z"),
        ("event", "read"),
        ("client", "acme"),
        ("subject", 'ada "the" first\N{LATIN SMALL LETTER E WITH ACUTE}'),
        ("peer", "192.0.2.7"),
        ("database", "demo"),
        ("job", "j1"),
        ("count", 3),
        ("activity", "a1"),
        ("previous", "a" * 64),
        ("hash", hashlib.sha256(line[: line.rindex(b',"hash":')]).hexdigest()),
    ]
    assert head == Head(42, record["hash"])


def test_with_a_key_the_digest_is_by_it_and_names_its_id() -> None:
    line, head = chained(BEGINNING, AT, ACT.members(), K1)
    text = line[: line.rindex(b',"hash":')]
    assert json.loads(line)["key"] == "k1"
    assert json.loads(line)["hash"] == head.hash == hmac.new(K1.secret, text, "sha256").hexdigest()


def test_a_log_as_it_was_written_has_no_fault() -> None:
    for lines, keys in (
        (PLAIN, {}),
        (a_log(K1, K1, K2, K1), KEYS),
        ([], {}),
        ([], KEYS),
        ([PLAIN[0]], {}),
    ):
        made = verified(lines, keys)
        assert (made.faults, made.notes, made.records) == ([], [], len(lines))
        assert made.last == (head_of(lines[-1]) if lines else BEGINNING)
    assert verified(PLAIN).last_at == "2026-11-26T22:33:49.000005Z"


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        ([*PLAIN[:2], *PLAIN[3:]], ["record 3 is missing"]),
        ([*PLAIN[:2], *PLAIN[4:]], ["records 3 to 4 are missing"]),
        ([PLAIN[0], PLAIN[2], PLAIN[1], PLAIN[3]],
         ["record 2 is missing", "record 2 comes after record 3: it was inserted or moved", "record 3 is missing"]),
        ([PLAIN[0], PLAIN[0], PLAIN[1]], ["record 1 comes after record 1: it was inserted or moved"]),
        ([PLAIN[0], PLAIN[1].replace(b'"count":1', b'"count":7'), *PLAIN[2:]], ["record 2 was modified"]),
        ([PLAIN[0], PLAIN[1].replace(b'"acme"', b'"Acme"'), *PLAIN[2:]], ["record 2 was modified"]),
        ([PLAIN[0], resealed(PLAIN[1], count=7), *PLAIN[2:]],
         ["record 3 does not follow from record 2: one was modified or inserted"]),
        ([PLAIN[0], resealed(PLAIN[1], previous=MADE_UP), PLAIN[2]],
         ["record 2 does not follow from record 1: one was modified or inserted",
          "record 3 does not follow from record 2: one was modified or inserted"]),
        ([resealed(PLAIN[0], previous=MADE_UP)], ["record 1 does not begin a chain: it was inserted or modified"]),
        ([PLAIN[0], b"{}\n", PLAIN[1]], ["line 2 is not a record, or was truncated and is the last line"]),
        ([PLAIN[0], PLAIN[1][:-9], PLAIN[2]],
         ["line 2 is not a record, or was truncated and is the last line", "record 2 is missing"]),
        ([PLAIN[0], PLAIN[1][:-1]], ["line 2 is not a record, or was truncated and is the last line"]),
        ([b"\n"], ["line 1 is not a record, or was truncated and is the last line"]),
        ([b"x", b"y"], [f"line {n} is not a record, or was truncated and is the last line" for n in (1, 2)]),
        (a_log(K1), ["record 1 has a digest by a key that is not in audit.keys"]),
        ([resealed(PLAIN[0], key={})], ["record 1 has a digest by a key that is not in audit.keys"]),
    ],
)  # fmt: skip
def test_what_was_changed_taken_out_or_put_in_is_named(lines: list[bytes], faults: list[str]) -> None:
    assert outcome(lines) == (faults, [])


@given(st.data())
def test_no_byte_of_a_log_can_be_changed_unnoticed(data: st.DataObject) -> None:
    lines, keys = data.draw(st.sampled_from([(PLAIN, {}), (a_log(*[K1] * 3), KEYS)]))
    whole = b"".join(lines)
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    changed = whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1 :]
    assert verified(changed.splitlines(keepends=True), keys).faults


def test_a_log_whose_old_files_were_removed_begins_later_and_says_so() -> None:
    assert outcome(PLAIN[2:]) == ([], ["it begins with record 3; the earlier records are missing"])
    assert outcome(PLAIN[1:]) == ([], ["it begins with record 2; the earlier records are missing"])
    assert verified(PLAIN[2:]).first == head_of(PLAIN[2])


def test_only_a_head_that_was_noted_shows_that_the_end_was_cut_off_or_all_was_written_anew() -> None:
    first, third, last = (head_of(PLAIN[place]) for place in (0, 2, 5))
    gone = "record 6 is missing or lacks the hash that was noted: truncated, or rewritten"
    assert outcome(PLAIN[:3]) == ([], [])
    assert outcome(PLAIN[:3], {}, last) == ([gone], [])
    assert outcome(PLAIN, {}, first, third, last) == ([], [])
    anew = a_log(*[K1] * 6)
    assert outcome(anew, KEYS, last) == ([gone], [])
    assert outcome([], {}, last) == ([gone], [])


def test_without_the_keys_nobody_makes_a_record_that_passes() -> None:
    lines = a_log(K1, K1, K1)
    forged = resealed(lines[1], count=7)
    assert outcome([lines[0], forged, lines[2]], KEYS)[0] == [
        "record 2 was modified",
        "record 3 does not follow from record 2: one was modified or inserted",
    ]
    line, _ = chained(head_of(lines[2]), AT, ACT.members(), None)
    assert outcome([*lines, line], KEYS)[0] == [
        "record 4 has a digest without a key, although earlier records have one by audit.keys"
    ]
    of_all = ["no record has a digest by one of audit.keys: anyone who can write the files could have forged them"]
    assert outcome(PLAIN, KEYS) == (of_all, [])
    assert outcome(lines, {"k2": K2.secret})[0] == [
        f"record {number} has a digest by a key that is not in audit.keys" for number in (1, 2, 3)
    ]


def test_keys_that_came_later_vouch_for_the_order_before_them() -> None:
    note = "digests have no key up to record 2: audit.keys was set later, or was lost"
    assert outcome(a_log(None, None, K1, K2), KEYS) == ([], [note])


FRAGMENT = PLAIN[1][:50]


def test_a_line_that_a_crash_broke_off_is_no_fault_if_the_record_after_it_says_so() -> None:
    line, _ = chained(head_of(PLAIN[0]), AT, mended(FRAGMENT), None)
    assert outcome([PLAIN[0], FRAGMENT + b"\n", line]) == (
        [],
        ["line 2 was truncated by a crash, as the next record says"],
    )
    other = bytes([FRAGMENT[0] ^ 1]) + FRAGMENT[1:]
    for fragments in ([other], [FRAGMENT + b" "], [FRAGMENT[:-1]], [FRAGMENT, FRAGMENT]):
        record = outcome([PLAIN[0], *(fragment + b"\n" for fragment in fragments), line])
        assert record[0] == ["line 2 is not a record, or was truncated and is the last line"]
    assert len(outcome([PLAIN[0], FRAGMENT + b"\n", PLAIN[1]])[0]) == 1, "no record says so"


def test_a_hundred_faults_are_reported_and_all_are_counted() -> None:
    for count in (99, 100, 101):
        made = verified([b"x\n"] * count)
        assert (len(made.faults), made.fault_count) == (min(count, 100), count)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"5", b"[]", b"{}", b'{"number":1}', PLAIN[0][:-2], PLAIN[0][:-1] + b"x\n", PLAIN[0].replace(b'"n', b"n"),
        PLAIN[0].replace(b'"number":1', b'"number":0'), PLAIN[0].replace(b'"number":1', b'"number":"1"'),
        PLAIN[0].replace(b"acme", b"acm\xff"), PLAIN[0].replace(b'"previous":"', b'"previous":5,"was":"'),
        PLAIN[0].replace(b'"hash":"', b'"hash":"0'), PLAIN[0].upper(),
    ],
)  # fmt: skip
def test_what_is_no_record(line: bytes) -> None:
    assert record_of(line) is None
