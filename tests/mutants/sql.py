"""Mistakes in SQL: exchanges in a text of Python that holds a statement or a part of one."""

import re
from collections.abc import Iterator

_SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE \w|DELETE FROM|WHERE|FROM \w|ORDER BY|ON CONFLICT|RETURNING|VALUES|CAST\(|PRAGMA"
    r"|CREATE (TABLE|INDEX|TRIGGER)|SET \w+ ?=|coalesce\(|BEGIN IMMEDIATE|FOR UPDATE|pg_\w+\()"
)
_EXCHANGES = [
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"(?<=\s)<(?=\s)", "<="),
        (r"(?<=\s)>(?=\s)", ">="),
        (r"(?<=\s)<=(?=\s)", "<"),
        (r"(?<=\s)>=(?=\s)", ">"),
        (r"(?<=\s)<>(?=\s)", "="),
        (r"(?<=\s)=(?=\s)", "<>"),
        (r"(?<=\s)\+(?=\s)", "-"),
        (r"(?<=\s)-(?=\s)", "+"),
        (r"\bAND\b", "OR"),
        (r"\bOR\b(?! REPLACE)", "AND"),
        (r"\bNOT (?!NULL\))", ""),
        (r"\bIS (?=NULL)", "IS NOT "),
        (r"\bASC\b", "DESC"),
        (r"\bDESC\b", "ASC"),
        (r"\bmin(?=\()", "max"),
        (r"\bmax(?=\()", "min"),
        (r" FOR (UPDATE|SHARE|NO KEY UPDATE)\b", ""),
        (r" (SKIP LOCKED|NOWAIT)\b", ""),
        (r"\bDISTINCT ", ""),
        (r"\bUNION ALL\b", "UNION"),
        (r"\bLEFT JOIN\b", "JOIN"),
        (r" ORDER BY [\w\", ]+", ""),
        (r" LIMIT [\w:%()]+", ""),
        (r"(?<![\w$.])\d+(?![\w.])", "{next}"),
    )
]


def is_sql(text: str) -> bool:
    """Tell whether a text of Python is SQL, or a part of it."""
    return bool(_SQL.search(text))


def exchanges(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Begin and end of a piece, what stands there instead, and the kind of mistake."""
    for pattern, instead in _EXCHANGES:
        for found in pattern.finditer(text):
            new = instead.format(next=int(found[0]) + 1) if "{next}" in instead else instead
            yield found.start(), found.end(), new, "sql"
