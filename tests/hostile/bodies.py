"""Attacks by bodies: what is short on the wire and long in memory, or never comes to its end."""

import asyncio
import gzip
import json
import random
from collections.abc import Callable
from functools import cache

import zstandard
from tests.builders import a_case
from tests.hostile.attack import BATCH, FIRST_KEY, Attack, Attacker, Send, Who, by_name
from tests.hostile.wire import LEFT, chunk

_VALIDATE = f"{BATCH}?validateOnly=true"
_LINES = "content-type: application/x-ndjson"
_ZSTD = "content-encoding: zstd"
_PIECE = 1 << 10
_EMPTY_FRAME = zstandard.compress(b"")
_EMPTY_MEMBER = gzip.compress(b"", mtime=0)


@cache
def zstd(before: bytes, again: bytes, size: int, behind: bytes = b"") -> bytes:
    """About `size` bytes of a text again and again, compressed."""
    return zstandard.compress(before + again * (size // len(again)) + behind)


@cache
def incompressible(items: int) -> bytes:
    """The beginning of an array of items that no compression makes smaller."""
    dice = random.Random(5)
    cases = (json.dumps(a_case(FIRST_KEY + key, x=dice.randbytes(1500).hex())) for key in range(items))
    return b"[" + ",".join(cases).encode()


def bomb(before: bytes, again: bytes, behind: bytes = b"", line: str = "", target: str = BATCH) -> Send:
    """A body that is small until it is decoded."""

    async def send(attacker: Attacker) -> None:
        size = attacker.scale.bomb_bytes
        body = zstd(before, again, size, behind)
        lines = (_ZSTD, *([line] if line else []))
        await attacker.batch(body, *lines, target=target, decoded=size)

    return send


async def gzip_members(attacker: Attacker) -> None:
    """A bomb of many members of gzip, each of which decodes to a megabyte."""
    member, size = _member(), attacker.scale.bomb_bytes
    await attacker.batch(member * (size >> 20), "content-encoding: gzip", decoded=size)


@cache
def _member() -> bytes:
    return gzip.compress(b" " * (1 << 20), 9, mtime=0)


def endless(frame: bytes, encoding: str) -> Send:
    """Frames that decode to nothing, one after the other."""

    async def send(attacker: Attacker) -> None:
        frames = frame * (_PIECE // len(frame))
        async with attacker.connection() as connection:
            await connection.send(attacker.batch_head(f"content-encoding: {encoding}", "transfer-encoding: chunked"))
            for _ in range(attacker.scale.bomb_bytes // 256 // _PIECE):
                await connection.send(chunk(frames))
            await connection.send(b"0\r\n\r\n")
            await connection.answer()

    return send


def left_open(
    body: Callable[[Attacker], tuple[bytes, int]], *lines: str, target: str = BATCH, crumbs: int = 64
) -> Send:
    """A body that comes by crumbs and never ends; the connection is kept as long as the service lets it."""

    async def send(attacker: Attacker) -> None:
        data, decoded = body(attacker)
        size = max(1, len(data) // crumbs)
        async with attacker.connection() as connection:
            await connection.send(attacker.batch_head(*lines, "transfer-encoding: chunked", target=target))
            attacker.tally.decoded += decoded
            for start in range(0, len(data), size):
                await connection.send(chunk(data[start : start + size]))
                await asyncio.sleep(0.001)  # the pace of the attacker
            try:
                async with asyncio.timeout(attacker.scale.hold_s):
                    await connection.answer()
            except TimeoutError:
                attacker.tally.ended(LEFT)

    return send


def _a_long_string(_: Attacker) -> tuple[bytes, int]:
    """In so many frames that the service takes what has come, though that is little: after a thousand crumbs."""
    size, part = 16 << 20, b"x" * (64 << 10)
    return zstandard.compress(b'["') + zstandard.compress(part) * (size // len(part)), size


def _staged(_: Attacker) -> tuple[bytes, int]:
    body = incompressible(2000)
    return body, len(body)


def _a_beginning(_: Attacker) -> tuple[bytes, int]:
    return b'[{"case_Key":1},', 16


async def items_to_be_validated(attacker: Attacker) -> None:
    """As many items as the service validates at once, each of which it refuses for several reasons."""
    size = len(b"{},") * 19_999
    await attacker.batch(zstd(b"[", b"{},", size, b"{}]"), _ZSTD, target=_VALIDATE, decoded=size)


async def one_byte_chunks(attacker: Attacker) -> None:
    """A body in chunks of one byte."""
    body = b"[" + b"1," * 10_000 + b"1]"
    attacker.tally.decoded += len(body)
    pieces = b"".join(chunk(body[place : place + 1]) for place in range(len(body)))
    await attacker.once(attacker.batch_head("transfer-encoding: chunked") + pieces + b"0\r\n\r\n")


async def too_wide_a_window(attacker: Attacker) -> None:
    """A frame that asks for a window of a gigabyte."""
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([20 << 3]) + b"\x01\x00\x00"
    await attacker.batch(frame, _ZSTD)


def _client(name: str, send: Send, ends: str, lanes: int = 2, keeps: bool = False) -> Attack:
    return Attack(name, Who.CLIENT, send, ends, lanes, keeps=keeps)


BODIES = by_name(
    _client("nested arrays", bomb(b"[[", b"{},", b"{}]]"), "202"),
    _client("deep nests", bomb(b"[", b"[" * 500 + b"]" * 500 + b",", b"1]"), "202"),
    _client("blank lines", bomb(b'{"case_Key":1}\n', b"\n", line=_LINES), "202", keeps=True),
    _client("a bomb of blanks", bomb(b"[", b" ", b"1"), "400"),
    _client("a bomb of tiny items", bomb(b"[", b"1,", b"1]"), "413", lanes=1, keeps=True),
    _client("a bomb to be validated", bomb(b"[", b"{},", b"{}]", target=_VALIDATE), "413"),
    _client("items to be validated", items_to_be_validated, "207"),
    _client("a bomb of large items", bomb(b"[", b'"' + b"x" * 500_000 + b'",', b"1]"), "202", keeps=True),
    _client("gzip members", gzip_members, "400"),
    _client("empty frames of zstd", endless(_EMPTY_FRAME, "zstd"), "400"),
    _client("empty members of gzip", endless(_EMPTY_MEMBER, "gzip"), "400"),
    _client("chunks of one byte", one_byte_chunks, "202", keeps=True),
    _client("too wide a window", too_wide_a_window, "400", lanes=1),
    _client("long strings left open", left_open(_a_long_string, _ZSTD, crumbs=1500), "left", lanes=30),
    _client("staged uploads left", left_open(_staged), "left", lanes=4),
    _client("slow uploads to be validated", left_open(_a_beginning, target=_VALIDATE), "left", lanes=8),
    _client("uploads that only begin", left_open(_a_beginning), "left", lanes=30),
)
