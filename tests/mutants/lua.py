"""Mistakes in the Lua scripts of the job store."""

import re
from collections.abc import Iterator

from tests.mutants.mutant import Mutant, exchange

_HIDDEN = re.compile(r"--\[\[.*?\]\]|--[^\n]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|^#![^\n]*", re.DOTALL)
_EXCHANGES = [
    (kind, re.compile(pattern), instead)
    for kind, pattern, instead in (
        ("comparison", r"==", "~="),
        ("comparison", r"~=", "=="),
        ("comparison", r"<(?!=)", "<="),
        ("comparison", r">(?!=)", ">="),
        ("comparison", r"<=", "<"),
        ("comparison", r">=", ">"),
        ("arithmetic", r" \+ ", " - "),
        ("arithmetic", r" - ", " + "),
        ("arithmetic", r" \* ", " / "),
        ("arithmetic", r" / ", " * "),
        ("logic", r"\band\b", "or"),
        ("logic", r"\bor\b", "and"),
        ("logic", r"\bnot ", ""),
        ("literal", r"\btrue\b", "false"),
        ("literal", r"\bfalse\b", "true"),
        ("other name", r"\bmath\.min\b", "math.max"),
        ("other name", r"\bmath\.max\b", "math.min"),
        ("other name", r"\bmath\.floor\b", "math.ceil"),
        ("other name", r"\bmath\.ceil\b", "math.floor"),
        ("number", r"(?<![\w.])\d+(?![\w.])", "{next}"),
        ("loop", r"(?<=\bin )ipairs\(.*?\)(?= do\b)", "ipairs({{}})"),
        ("condition", r"(?<=\bif )[^\n]+?(?= then\b)", "not ({piece})"),
        ("condition", r"(?<=\bwhile )[^\n]+?(?= do\b)", "not ({piece})"),
        ("removed", r"(?m)(?<=^)[ \t]*[a-z_]+(\[[^\]\n]*\]|\.\w+)* = [^\n]*[^\s,({](?=\n)", ""),
        ("returned", r"(?<=\breturn )(?!\{\}|nil\b|false\b)[^\n{]+?(?= end\b|\n)", "false"),
    )
]
_CALL = re.compile(r"(?<=\bthen )|(?<=\bdo )|(?<=\belse )|(?m:^[ \t]*(?=[a-z]))")
_NAME = re.compile(r"[a-z_]+(\.[a-z_]+)?(?=\()")
_WORD = re.compile(r"'[a-z][a-z_]*'")


def mutants_of(path: str, text: str) -> list[Mutant]:
    """Every mutant of a script, in the order of the text."""
    code = _HIDDEN.sub(lambda hidden: "\0" * len(hidden[0]), text)
    found = [
        exchange(path, text, (piece.start(), piece.end()), _filled(instead, text[piece.start() : piece.end()]), kind)
        for kind, pattern, instead in _EXCHANGES
        for piece in pattern.finditer(code)
    ]
    found += (exchange(path, text, span, "", "removed") for span in _calls(code))
    found += (
        exchange(path, text, word.span(), f"'XX{word[0][1:]}", "word")
        for word in _HIDDEN.finditer(text)
        if _WORD.fullmatch(word[0])
    )
    found += (exchange(path, text, span, "", "argument") for span in _last_arguments(code))
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.instead))


def _filled(instead: str, piece: str) -> str:
    return instead.format(piece=piece, next=int(piece) + 1 if piece.isdecimal() else "")


def _calls(code: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each call that is a statement."""
    for place in _CALL.finditer(code):
        name = _NAME.match(code, place.end())
        if name and (end := _closed(code, name.end())) and re.match(r"[ \t]*(\n|\0|end\b|else|$)", code[end:]):
            yield name.start(), end


def _last_arguments(code: str) -> Iterator[tuple[int, int]]:
    """Begin and end of the last argument of each call of Redis that has more than two, with its comma."""
    for call in re.finditer(r"redis\.call\(", code):
        end = _closed(code, call.end() - 1)
        commas = [at for at in range(call.end(), end or 0) if code[at] == "," and _depth(code[call.end() : at]) == 0]
        if end and len(commas) > 2:
            yield commas[-1], end - 1


def _closed(code: str, opened: int) -> int | None:
    """The place behind the parenthesis that closes the one at `opened`."""
    depth = 0
    for at in range(opened, len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return at + 1
    return None


def _depth(code: str) -> int:
    return sum(code.count(mark) for mark in "({[") - sum(code.count(mark) for mark in ")}]")
