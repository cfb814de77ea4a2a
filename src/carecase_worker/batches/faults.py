"""Refusals of a whole body, each with a hint at what to send instead."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from carecase_worker.cases.care_case import FIELD
from carecase_worker.errors import BatchFault, BatchRefused

BLANK = b" \t\r\n"
_WIDE_MARKS = (BOM_UTF16_LE, BOM_UTF16_BE, BOM_UTF32_BE)  # UTF-32's other one begins as UTF-16's
_COMPRESSED = {
    b"\x1f\x8b": "the header Content-Encoding: gzip with it",
    b"\x28\xb5\x2f\xfd": "the header Content-Encoding: zstd with it",
    b"PK\x03\x04": "the file that is in the archive",
}
"""First bytes of common compressed formats, and what to send instead."""
_VALUE = msgspec.json.Decoder(msgspec.Raw)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_KINDS = {"{": "an object", '"': "a string", "t": "true", "f": "false", "n": "null"}
_NUL_ESCAPE = rb"\u0000"
# each match is the text before a lone surrogate, and the surrogate; the last ones are the text behind them all
_LONE = re.compile(
    rb"((?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\(?!u[dD][89a-fA-F][0-9a-fA-F]{2}).|\\\Z)*+)(\\u[dD][89a-fA-F][0-9a-fA-F]{2})?+",
    re.DOTALL,
)
_TOO_DEEP = "it is nested too deeply"
AN_ARRAY = "an array of CareCase objects"
LINES = "one CareCase object a line, each line ended by a line feed"


def empty() -> BatchRefused:
    """Return the refusal of a body without items."""
    return BatchRefused(BatchFault.EMPTY, "The batch is empty. Send at least one CareCase.")


def not_json(detail: str, what: str = AN_ARRAY) -> BatchRefused:
    """Return the refusal of a body that is not JSON, with `what` to send instead."""
    return BatchRefused(BatchFault.NOT_JSON, f"The body is not JSON ({detail}). Send {what}, in UTF-8.")


def too_large(what: str, limit_bytes: int) -> BatchRefused:
    """Return the refusal of a body with too many bytes in items that are too large."""
    return BatchRefused(BatchFault.TOO_LARGE, f"{what} more than {limit_bytes >> 20} MiB. Send smaller items.")


def without_mark(beginning: bytes) -> bytes:
    """Remove a byte order mark of UTF-8 from the beginning of a body.

    Raises BatchRefused for UTF-16, UTF-32 and compressed bodies.
    """
    for magic, what in _COMPRESSED.items():
        if beginning.startswith(magic):
            raise BatchRefused(BatchFault.NOT_JSON, f"The body is compressed, but no header says so. Send {what}.")
    if is_wide(beginning):
        raise BatchRefused(
            BatchFault.NOT_JSON, "The body is UTF-16 or UTF-32, not UTF-8. Save the file as UTF-8, and send that."
        )
    return beginning.removeprefix(BOM_UTF8)


def is_wide(beginning: bytes) -> bool:
    """Return whether a body is UTF-16 or UTF-32, by its first bytes."""
    return beginning.startswith(_WIDE_MARKS) or b"\0" in beginning[:4]


@contextmanager
def refusing_deep_nesting() -> Iterator[None]:
    """Raise BatchRefused if a parser ends with RecursionError.

    One that has read a text before may do so: the interpreter's stack had more room then.
    """
    try:
        yield
    except RecursionError:
        raise not_json(_TOO_DEEP) from None


def no_array(text: bytes, is_whole: bool) -> BatchRefused:
    """Return the refusal of a body that does not begin with a bracket; `text` is the body, or its beginning."""
    try:
        _VALUE.decode(text)
    except RecursionError:
        return not_json(_TOO_DEEP)
    except msgspec.DecodeError as error:
        if _is_followed_by_another(text, str(error)):
            return BatchRefused(
                BatchFault.NOT_AN_ARRAY,
                "The body has several JSON values one after the other, and is not an array. Send an array, or send"
                " one CareCase a line as Content-Type: application/x-ndjson.",
            )
        if is_whole:
            return not_json(str(error))
    kind = _KINDS.get(chr(text.lstrip(BLANK)[0]), "a number")
    return BatchRefused(
        BatchFault.NOT_AN_ARRAY,
        f"The body is {kind}, not an array. Send {AN_ARRAY}, with nothing around it.",
    )


def array_as_lines() -> BatchRefused:
    """Return the refusal of a body that is an array although its media type says lines."""
    return BatchRefused(
        BatchFault.NOT_LINES,
        "The body is an array, not one CareCase a line. Send it as Content-Type: application/json.",
    )


def require_case(lone: bytes) -> None:
    """Raise BatchRefused for the only line of a body if it is an array, or an object around the cases."""
    if lone[:1] == b"[":
        raise array_as_lines()
    try:
        members = _MEMBERS.decode(lone)
    except (ValueError, RecursionError):
        return  # the item's own fault, or a name that is not UTF-8, which packing refuses
    if FIELD.keys().isdisjoint(members):
        raise BatchRefused(
            BatchFault.NOT_LINES,
            "The body is an object, but not a CareCase: it has none of its fields. Send one CareCase a line, or an"
            " array of them as Content-Type: application/json, with nothing around it.",
        )


def without_lone_surrogates(text: bytes) -> bytes | None:
    r"""Return the text with `\u0000` for each lone surrogate escape, or None if it has none.

    The parser rejects the whole text for a lone surrogate, while the contract makes it the fault of one item. U+0000
    breaks the same rule, and is reported with the item's other faults.
    """
    found = _LONE.findall(text)
    if not any(lone for _, lone in found):
        return None
    return b"".join([before + _NUL_ESCAPE if lone else before for before, lone in found])


def _is_followed_by_another(text: bytes, error: str) -> bool:
    """Return whether another object or array follows a text's first value, by the parser's message."""
    trailing = _TRAILING.search(error)
    return trailing is not None and text[int(trailing[1]) - 1 : int(trailing[1])] in (b"{", b"[")
