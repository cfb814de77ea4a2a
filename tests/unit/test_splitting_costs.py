"""A body costs a few steps a byte to split, whatever is in it, and never more than some megabytes.

The bounds are a tenth of what going over the tokens again and again costs.
"""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.steps import steps_each
from tests.traced_memory import traced_memory
from tests.unit.large_bodies import LARGE, repeated

from carecase_worker.batches.faults import without_lone_surrogates
from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.oversized import Passage
from carecase_worker.batches.splitting import ArraySplitter, Splitter
from carecase_worker.errors import BatchRefused

PIECE_BYTES = 256 << 10
STEPS_A_BYTE = {"deep nests in one item": 200}  # 20 to 95: its depth is memory that other processes displace
USUAL_STEPS_A_BYTE = 20  # three times what the dearest of them takes

ATTACKS: dict[str, tuple[type[ArraySplitter] | type[LineSplitter], Callable[[], bytes]]] = {
    "empty objects in one item": (ArraySplitter, lambda: b"[[" + repeated(b"{},")),
    "pairs that look like borders": (ArraySplitter, lambda: b"[" + repeated(b'["},{},",[{},{}],{}],')),
    "items that end in a nest": (ArraySplitter, lambda: b"[" + (b"[" + repeated(b"{},", 180_000) + b"{}],") * 16),
    "deep nests in one item": (ArraySplitter, lambda: b"[[" + repeated(b"[" * 500 + b"]" * 500 + b",")),
    "escaped quotes": (ArraySplitter, lambda: b'["' + repeated(b'\\"')),
    "strings of escaped quotes": (ArraySplitter, lambda: b"[[" + repeated(b'"\\"\\"",')),
    "backslashes": (ArraySplitter, lambda: b'["' + repeated(b"\\\\")),
    "blanks": (ArraySplitter, lambda: b"[" + repeated(b" ") + b"1]"),
    "blanks before a comma": (ArraySplitter, lambda: b"[1" + repeated(b" ") + b",2]"),
    "lone surrogates": (ArraySplitter, lambda: b"[" + repeated(rb'"\ud800\ud800\ud800\ud800\ud800\ud800",') + b"0]"),
    "escapes": (ArraySplitter, lambda: b"[" + repeated(rb'"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\ud800",') + b"0]"),
    "blank lines": (LineSplitter, lambda: b"{}" + repeated(b"\n")),
    "blank lines of another system": (LineSplitter, lambda: b"{}" + repeated(b"\r\n")),
    "blank lines around a lone surrogate": (LineSplitter, lambda: repeated(b"\n" * 200_000 + b'"\\ud800"\n')),
    "lines of byte order marks": (LineSplitter, lambda: b"{}\n" + repeated(b"\xef\xbb\xbf\n")),
    "one long line": (LineSplitter, lambda: b'"' + repeated(b"x")),
}


def split(splitter: Splitter, body: bytes) -> int:
    """How many items a body has, as far as it is taken."""
    count = 0
    try:
        for start in range(0, len(body), PIECE_BYTES):
            count += len(splitter.feed(body[start : start + PIECE_BYTES]))
        return count + len(splitter.finish())
    except BatchRefused:
        return count


@pytest.mark.parametrize("name", ATTACKS)
def test_no_body_costs_more_than_its_bytes(name: str) -> None:
    made, body = ATTACKS[name][0], ATTACKS[name][1]()
    most = STEPS_A_BYTE.get(name, USUAL_STEPS_A_BYTE)
    assert steps_each(lambda: split(made(), body), len(body), most) < most


@pytest.mark.parametrize(
    ("splitter", "attack"),
    [
        (ArraySplitter, lambda: b'["' + repeated(b"x", LARGE)),
        (ArraySplitter, lambda: b"[1" + repeated(b" ", LARGE)),
        (ArraySplitter, lambda: b"[[" + repeated(b'"' + b"x" * 10_000 + b'",', LARGE)),
        (LineSplitter, lambda: b'"' + repeated(b"x", LARGE)),
        (LineSplitter, lambda: b"1" + repeated(b" ", LARGE)),
    ],
    ids=["a string", "blanks behind an item", "an item", "a line", "blanks behind a line"],
)
def test_no_body_is_kept_in_memory_as_a_whole(splitter: Callable[[], Splitter], attack: Callable[[], bytes]) -> None:
    body = attack()
    with traced_memory() as memory:
        split(splitter(), body)
    assert memory.most < LARGE // 2


STRINGS = st.text(alphabet='ab"\\[]{},\n\ud83d', max_size=12)
VALUES = st.recursive(STRINGS | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(STRINGS, inner))


@given(item=VALUES, before=st.integers(0, 4), cut=st.integers(1, 30), sign=st.sampled_from([b",", b"]", b" ,"]))
def test_the_end_of_an_item_that_passes_by_is_the_sign_behind_it(
    item: object, before: int, cut: int, sign: bytes
) -> None:
    text = json.dumps(item if before % 2 else [item] * before).encode()
    passage, rest, at, body = Passage(text[:1]), b"", 0, text[1:] + sign + b'"},{['
    for start in range(0, len(body), cut):
        rest += body[start : start + cut]
        passed, ended = passage.feed(rest)
        at, rest = at + passed, rest[passed:]
        if ended:
            break
    assert at + 1 == len(text) + len(sign) - 1


@given(st.lists(st.sampled_from([r"\ud800", r"\udc00", r"\\", r"\n", r"\"", "x", r"\ud83d\ude00", r"\udbff\udfff"])))
def test_only_lone_surrogates_are_replaced(parts: list[str]) -> None:
    text = json.loads(f'"{"".join(parts)}"')
    expected = "".join("\0" if "\ud800" <= sign <= "\udfff" else sign for sign in text)
    repaired = without_lone_surrogates(f'"{"".join(parts)}"'.encode())
    assert (repaired is None) == (expected == text)
    assert json.loads(repaired or json.dumps(text)) == expected
