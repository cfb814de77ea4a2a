"""Attacks by rows of files: cells, quotes and header rows that never end, or are too many."""

from tests.hostile.attack import Attack, Send, Who, by_name
from tests.hostile.bodies import bomb

_HEADER = b"case_Key,carePlan_Key,do_Not_Contact,case_ID\n"
_BROKEN = b'1,5,false,"x"y\n'
"""A row for which the whole file is refused, once all rows before it are read."""


def _rows(before: bytes, again: bytes, behind: bytes = b"") -> Send:
    return bomb(before, again, behind, line="content-type: text/csv")


def _client(name: str, send: Send) -> Attack:
    return Attack(name, Who.CLIENT, send, "400")


ROWS = by_name(
    _client("a quote that never closes", _rows(_HEADER + b'1,5,false,"', b"x\n")),
    _client("a cell that never ends", _rows(_HEADER + b"1,5,false,", b"x")),
    _client("rows of quoted quotes", _rows(_HEADER, b'1,5,false,""""\n', _BROKEN)),
    _client("rows that are nearly empty", _rows(_HEADER, b"1,,,\n", _BROKEN)),
    _client("a header row of a million names", _rows(b"", b"x,")),
    _client("header rows without end", _rows(_HEADER, _HEADER)),
)
