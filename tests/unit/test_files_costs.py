"""A file costs a bounded number of steps a byte, whatever is in it, and never more than some megabytes."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.steps import steps_each
from tests.traced_memory import traced_memory
from tests.unit.large_bodies import LARGE, repeated
from tests.unit.rows import mapped

from carecase_worker.batches.splitting import WINDOW_BYTES
from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping
from carecase_worker.files.splitting import RowSplitter

HEADER = b"case_Key,carePlan_Key,do_Not_Contact,case_ID\n"
SIZE = 1 << 20
MOST_STEPS_A_BYTE = 60
"""Three times what the dearest of them takes."""
MOST_BYTES = LARGE // 2
DATE_FORMATS = [
    *("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%y%m%d", "%Y%m%d", "%Y%m%d%H%M"),
    *("%d/%m/%Y", "%d/%m/%Y %I:%M %p", "%d-%b-%Y", "%d-%b-%y", "%Y/%m/%d", "%b %d %Y"),
]

ATTACKS: dict[str, Callable[[], bytes]] = {
    "blank lines before the header row": lambda: repeated(b"\n", SIZE) + HEADER,
    "blank lines of blanks before it": lambda: repeated(b"  \n", SIZE) + HEADER,
    "a quote before many line feeds": lambda: b'"' + repeated(b"\n", SIZE),
    "a quoted cell of many lines": lambda: HEADER + b'1,5,false,"' + repeated(b"\n", SIZE),
    "quotes that open and close": lambda: HEADER + repeated(b'1,5,false,""""\n', SIZE),
    "quoted cells of many lines": lambda: HEADER + repeated(b'1,5,false,"\n\n\n""\n"\n', SIZE),
    "blank rows": lambda: HEADER + b"1,5,false,a\n" + repeated(b",,,\n", SIZE),
    "blank lines": lambda: HEADER + b"1,5,false,a\n" + repeated(b"\r\n", SIZE),
    "a row of many cells": lambda: HEADER + repeated(b",", SIZE),
    "a header row of many names": lambda: repeated(b"case_Key,", SIZE) + b"\n",
    "a header row of other names": lambda: repeated(b"x" * 99 + b",", 90_000) + b"\n" + HEADER,
    "small rows": lambda: HEADER + repeated(b"1,5,false,\n", SIZE),
    "numbers of many digits": lambda: HEADER + repeated(b"9" * 5000 + b",5,false,\n", SIZE),
    "other date-times in each row": lambda: (
        HEADER.replace(b"case_ID", b"case_End_Date") + b"".join(b"1,5,false, %d\n" % n for n in range(60_000))
    ),
    "carriage returns": lambda: HEADER + repeated(b"1,5,false,\r", SIZE),
    "header rows once more": lambda: HEADER * (SIZE // len(HEADER)),
}


def split(body: bytes, mapping: FileMapping = NAMES_OF_FIELDS) -> None:
    """Split a body in windows as the intake does, as far as it is taken."""
    splitter = RowSplitter(mapping)
    with suppress(BatchRefused):
        for start in range(0, len(body), WINDOW_BYTES):
            splitter.feed(body[start : start + WINDOW_BYTES])
        splitter.finish()


@pytest.mark.parametrize("name", ATTACKS)
def test_no_file_costs_more_than_its_bytes(name: str) -> None:
    body = ATTACKS[name]()
    assert steps_each(lambda: split(body), len(body), MOST_STEPS_A_BYTE) < MOST_STEPS_A_BYTE


@pytest.mark.parametrize("cell", ["%06d", " %d", "%d.13.2026"])
def test_cells_that_match_none_of_a_dozen_date_formats_cost_no_more(cell: str) -> None:
    body = b"k,d\n" + "".join(f"1,{cell % number}\n" for number in range(60_000)).encode()
    columns = {"k": "case_Key", "d": "case_End_Date"}
    mapping = mapped(columns=columns, constants={"carePlan_Key": 5, "do_Not_Contact": False}, date_formats=DATE_FORMATS)
    most = 110  # the dearest takes 37, and one that is tried with each format by strptime more than 500
    assert steps_each(lambda: split(body, mapping), len(body), most) < most


@pytest.mark.parametrize(
    "attack",
    [
        lambda: HEADER + b'1,5,false,"' + repeated(b"x", LARGE),
        lambda: HEADER + repeated(b"x", LARGE),
        lambda: repeated(b"x", LARGE),
        lambda: HEADER + b"1,5,false,a\n" + repeated(b" " * 99 + b"\n", LARGE),
        lambda: HEADER + b"1,5,false,a\n" + repeated(b"\n", SIZE),
    ],
    ids=["a quoted cell", "a cell", "a header row", "lines of blanks", "blank lines"],
)
def test_no_file_is_kept_in_memory_as_a_whole(attack: Callable[[], bytes]) -> None:
    """Of blank lines fewer are enough: each is an object of many times its size."""
    body = attack()
    with traced_memory() as memory:
        split(body)
    assert memory.most < MOST_BYTES
