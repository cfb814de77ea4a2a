"""Formats that users mistake for a batch: each recognised by its first bytes, with advice."""

import json
import re
from codecs import BOM_UTF8

_TABLE = "give it to carecase submit as a file with its own suffix, or from Python as RowFile(Path(…))"
_UNPACK = "unpack it, and send what is in it, plain or compressed by gzip or zstd"
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", f"a zip archive, as an Excel workbook (.xlsx) is one: {_TABLE}; if it holds JSON, {_UNPACK}"),
    (b"\xd0\xcf\x11\xe0", f"an Excel workbook (.xls): {_TABLE}"),
    (b"PAR1", f"Parquet: {_TABLE}"),
    (b"BZh", f"compressed by bzip2: {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"compressed by xz: {_UNPACK}"),
    (b"7z\xbc\xaf", f"a 7-Zip archive: {_UNPACK}"),
    (b"\x04\x22\x4d\x18", f"compressed by lz4: {_UNPACK}"),
    (b"\x1f\x8b", "compressed twice: decompress it once"),
    (b"\x28\xb5\x2f\xfd", "compressed twice: decompress it once"),
    (b"%PDF", "a PDF document: get the cases as JSON from where it was made"),
)
_TAR = slice(257, 262)
_UTF16 = (
    "UTF-16 or UTF-32, and JSON is UTF-8: convert it, as by iconv -f UTF-16 -t UTF-8; in PowerShell, Out-File"
    " -Encoding utf8"
)
_CSV = (
    "CSV, or another table: give it to carecase submit as a file named .csv, or with --mapping; or from Python as"
    " RowFile(Path(…))"
)
_LIST_INSIDE = (
    "a single object, and a batch is an array of cases: if the cases are a list in it, send that list, as by"
    " jq .NAME FILE | carecase submit -; if it is one case, put it into brackets"
)
_OBJECT_WITH_LIST = re.compile(rb'\{\s*"[^"\\]*"\s*:\s*\[\s*\{')


def recognised(head: bytes, whole: bool) -> str | None:
    """Recognise another format by the first bytes of a batch, decompressed; return its name with advice, or None.

    `whole` says that these are all the bytes.
    """
    for signature, known in _SIGNATURES:
        if head.startswith(signature):
            return known
    if head[_TAR] == b"ustar":
        return f"a tar archive: {_UNPACK}"
    if b"\0" in head[:4] or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _UTF16
    text = head.removeprefix(BOM_UTF8).lstrip()
    if not text:
        return "empty: send at least one case" if whole else None
    return _text_format(text, whole)


def _text_format(text: bytes, whole: bool) -> str | None:
    line, ended, _ = text.partition(b"\n")
    match text[:1]:
        case b"[":
            return None
        case b"{":
            return _LIST_INSIDE if _is_single_object(text, line if ended or whole else None) else None
        case b"<":
            return "XML or HTML, and the service takes JSON: convert it, or see if a page was saved instead of its data"
    return _CSV if re.search(rb"[,;\t|]", line) else None


def _is_single_object(text: bytes, line: bytes | None) -> bool:
    """Return whether a text is one object, not one a line: it has the cases in a list, or spans several lines.

    `line` is the first line, or None if it is incomplete.
    """
    if _OBJECT_WITH_LIST.match(text):
        return True
    if line is None:
        return False
    shown = line.decode("utf-8", "replace").rstrip()
    try:
        json.loads(shown)
    except json.JSONDecodeError as error:
        return error.pos >= len(shown)  # the object goes on behind the line
    except RecursionError:
        pass
    return False
