"""Constraints of SQLite, found by its error messages and the table definition."""

import re
import sqlite3
from collections.abc import Iterable

from sqlalchemy import Connection, text

from carecase_worker.targets.dialects.constraints import Broken, ConstraintReports
from carecase_worker.targets.tables import CARE_CASE

_ON = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: (\w+\.\w+(?:, \w+\.\w+)*)$")
_NAMED = re.compile(
    r"(?:UNIQUE constraint failed: index '(?P<index>.+)'|CHECK constraint failed: (?P<check>.+))$", re.S
)
_DEFINITION = text("SELECT sql FROM sqlite_master WHERE name = :name")
_FOREIGN_KEYS = text("SELECT \"from\" FROM pragma_foreign_key_list('care_case')")


def _identity(error: sqlite3.Error) -> tuple[str | None, ...]:
    return (str(error),)


def _broken(connection: Connection, error: sqlite3.Error) -> Broken:
    columns = _columns(connection, error)
    return Broken(None, None if columns is None else frozenset(columns))


def _columns(connection: Connection, error: sqlite3.Error) -> Iterable[str] | None:
    """Return the columns that a message names, directly or by a constraint on them."""
    if error.sqlite_errorname == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return connection.execute(_FOREIGN_KEYS).scalars().all() or None
    on_columns, named = _ON.match(str(error)), _NAMED.match(str(error))
    if on_columns:
        pairs = [one.split(".") for one in on_columns[1].split(", ")]
        return _with_their_sources(connection, [column for table, column in pairs if table == CARE_CASE.name])
    if named is None:
        return None
    if named["index"]:
        on, _, columns = _definition(connection, named["index"]).partition("(")
        return _with_their_sources(connection, _words(columns)) if CARE_CASE.name in _words(on) else ()
    check = _condition_of(named["check"], _definition(connection, CARE_CASE.name))
    return _with_their_sources(connection, _words(check))


def _with_their_sources(connection: Connection, columns: Iterable[str]) -> set[str]:
    """Return columns in lower case, with the source columns of generated ones."""
    definition = _definition(connection, CARE_CASE.name)
    return {word for column in columns for word in (column.lower(), *_words(_source_of(column, definition)))}


def _definition(connection: Connection, name: str) -> str:
    return _bare(connection.execute(_DEFINITION, {"name": name}).scalar() or "")


def _words(expression: str) -> list[str]:
    return re.findall(r"\w+", expression.lower())


def _condition_of(check: str, definition: str) -> str:
    """Return the condition of a check constraint.

    SQLite reports a constraint by its name or, if it has none, by its condition.
    """
    name = rf"[\"`\[]?{re.escape(check)}[\"`\]]?"
    return _in_parentheses(rf"CONSTRAINT\s+{name}\s+CHECK\s*\(", definition) or _bare(check)


def _source_of(column: str, definition: str) -> str:
    """Return the expression of a generated column in its table's definition; empty if it is not a generated one."""
    return _in_parentheses(rf"[\"`\[]?\b{re.escape(column)}\b[\"`\]]?[^,(]*(\([^)]*\)[^,(]*)?\bAS\s*\(", definition)


def _in_parentheses(opening: str, definition: str) -> str:
    """Return the text from the parenthesis at the end of a pattern to the one that closes it.

    Empty if the pattern is not found.
    """
    found = re.search(opening, definition, re.IGNORECASE)
    if found is None:
        return ""
    depth, end = 1, found.end()
    while depth and end < len(definition):
        depth += (definition[end] == "(") - (definition[end] == ")")
        end += 1
    return "" if depth else definition[found.end() : end - 1]


def _bare(definition: str) -> str:
    """Return a definition without literals and comments."""
    return re.sub(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", "''", definition, flags=re.DOTALL)


CONSTRAINTS = ConstraintReports(
    kinds={
        "SQLITE_CONSTRAINT_NOTNULL": "a not-null constraint",
        "SQLITE_CONSTRAINT_FOREIGNKEY": "a foreign key",
        "SQLITE_CONSTRAINT_UNIQUE": "a unique constraint",
        "SQLITE_CONSTRAINT_CHECK": "a check constraint",
    },
    identity=_identity,
    broken=_broken,
)
