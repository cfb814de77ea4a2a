"""Constraints of a target database: the outcome of an item that breaks one, and the fields that it is on."""

import re
from collections.abc import Iterable

from psycopg import Error as PostgresError
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.cases.care_case import FIELDS
from carecase_worker.cases.outcomes import REFUSED, Kind, Outcome
from carecase_worker.targets.failures import code_of, raised_by_code
from carecase_worker.targets.tables import CARE_CASE

_CONSTRAINTS = {
    "23502": "a not-null constraint",
    "23503": "a foreign key",
    "23505": "a unique constraint",
    "23514": "a check constraint",
    "23P01": "an exclusion constraint",
    "SQLITE_CONSTRAINT_NOTNULL": "a not-null constraint",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "a foreign key",
    "SQLITE_CONSTRAINT_UNIQUE": "a unique constraint",
    "SQLITE_CONSTRAINT_CHECK": "a check constraint",
}

# The columns of care_case that a constraint is on. `ours` is the table and its partitions, `named` the table that the
# error names. A unique index is found by its dependencies, since its columns may be expressions; a foreign key of
# another table by the columns it refers to; a generated column counts as those that it is made from.
_COLUMNS = text(
    """
    WITH RECURSIVE ours(oid) AS (
        SELECT CAST('care_case' AS regclass)::oid
        UNION SELECT i.inhrelid FROM pg_inherits i JOIN ours ON i.inhparent = ours.oid
    ), named AS (
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND c.relname = :relation
    ), on_columns(relation, number) AS (
        SELECT k.conrelid, unnest(k.conkey) FROM pg_constraint k JOIN named ON k.conrelid = named.oid
        WHERE k.conname = :constraint
        UNION
        SELECT k.confrelid, unnest(k.confkey) FROM pg_constraint k JOIN named ON k.conrelid = named.oid
        WHERE k.conname = :constraint AND k.contype = 'f'
        UNION
        SELECT d.refobjid, d.refobjsubid FROM pg_index x JOIN named ON x.indrelid = named.oid
        JOIN pg_class i ON i.oid = x.indexrelid AND i.relname = :constraint
        JOIN pg_depend d ON d.classid = CAST('pg_class' AS regclass) AND d.objid = i.oid AND d.refobjid = named.oid
        UNION
        SELECT a.attrelid, a.attnum FROM pg_attribute a JOIN named ON a.attrelid = named.oid WHERE a.attname = :column
        UNION
        SELECT a.attrelid, a.attnum FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        JOIN ours ON a.attrelid = ours.oid LEFT JOIN pg_type base ON base.oid = t.typbasetype
        WHERE :datatype IN (t.typname, base.typname)
    ), made_from(relation, number) AS (
        SELECT relation, number FROM on_columns
        UNION
        SELECT d.refobjid, d.refobjsubid FROM on_columns o
        LEFT JOIN pg_attrdef g ON g.adrelid = o.relation AND g.adnum = o.number
        JOIN pg_depend d ON d.refobjid = o.relation AND d.refobjsubid <> o.number
        AND ((d.classid = CAST('pg_attrdef' AS regclass) AND d.objid = g.oid)
          OR (d.classid = CAST('pg_class' AS regclass) AND d.objid = o.relation AND d.objsubid = o.number))
    )
    SELECT a.attname FROM made_from m LEFT JOIN ours ON m.relation = ours.oid
    LEFT JOIN pg_attribute a ON a.attrelid = ours.oid AND a.attnum = m.number AND a.attnum > 0
    """
)
_SQLITE_ON = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: (\w+\.\w+(?:, \w+\.\w+)*)$")
_SQLITE_NAMED = re.compile(
    r"(?:UNIQUE constraint failed: index '(?P<index>.+)'|CHECK constraint failed: (?P<check>.+))$", re.S
)
_SQLITE_TEXT = text("SELECT sql FROM sqlite_master WHERE name = :name")
_SQLITE_KEYS = text("SELECT \"from\" FROM pragma_foreign_key_list('care_case')")


class Constraints:
    """Outcomes of items that break constraints; each constraint is looked up once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str | None, ...], Outcome] = {}

    def conflict(self, error: SQLAlchemyError) -> Outcome:
        """Return the outcome of an item that breaks a constraint.

        Its text has the fields, and kind and name of the constraint, but never a value. If the constraint is on none of
        the contract's fields, the sender cannot mend the item: REFUSED.
        """
        original = error.orig if isinstance(error, DBAPIError) else None
        names = _postgres_key(original.diag) if isinstance(original, PostgresError) else (str(original),)
        key = (code_of(error), *names)
        if key not in self._known:
            self._known[key] = self._outcome(error)
        return self._known[key]

    def _outcome(self, error: SQLAlchemyError) -> Outcome:
        what = _CONSTRAINTS.get(code_of(error), "a constraint")
        name, columns = self._name_and_columns(error)
        named = f" ({name})" if name else ""
        if columns is None:
            return Outcome(Kind.CONFLICT, f"The item conflicts with {what} of the target database{named}.")
        fields = [field.name for field in FIELDS if field.column in columns]
        if not fields:
            return REFUSED
        return Outcome(
            Kind.CONFLICT, f"{', '.join(fields)}: the item conflicts with {what} of the target database{named}"
        )

    def _name_and_columns(self, error: SQLAlchemyError) -> tuple[str | None, set[str] | None]:
        """Return the name of a constraint and its columns in `care_case`; None for what is not reported."""
        if isinstance(error, DBAPIError) and isinstance(error.orig, PostgresError):
            columns = self._postgres_columns(error.orig.diag)
            if raised_by_code(error):  # a trigger may name a constraint that does not exist
                return None, columns or None
            return error.orig.diag.constraint_name, columns
        message = str(error.orig) if isinstance(error, DBAPIError) else ""
        told = self._sqlite_columns(message, code_of(error))
        return None, None if told is None else set(told)

    def _postgres_columns(self, diag: Diagnostic) -> set[str]:
        """Return the columns of the constraint; an empty name stands for those of other tables."""
        names = ("constraint", "schema", "relation", "column", "datatype")
        found = self._connection.execute(_COLUMNS, dict(zip(names, _postgres_key(diag), strict=True))).scalars()
        return {column or "" for column in found}

    def _sqlite_columns(self, message: str, code: str) -> Iterable[str] | None:
        """Return the columns that an SQLite message names, directly or by a constraint on them."""
        if code == "SQLITE_CONSTRAINT_FOREIGNKEY":
            return self._connection.execute(_SQLITE_KEYS).scalars().all() or None
        on_columns, named = _SQLITE_ON.match(message), _SQLITE_NAMED.match(message)
        if on_columns:
            pairs = [one.split(".") for one in on_columns[1].split(", ")]
            return self._with_their_sources([column for table, column in pairs if table == CARE_CASE.name])
        if named is None:
            return None
        if named["index"]:
            on, _, columns = self._sqlite_definition(named["index"]).partition("(")
            return self._with_their_sources(_words(columns)) if CARE_CASE.name in _words(on) else ()
        check = _condition_of(named["check"], self._sqlite_definition(CARE_CASE.name))
        return self._with_their_sources(_words(check))

    def _with_their_sources(self, columns: Iterable[str]) -> set[str]:
        """Return columns in lower case, and those that the generated ones among them are made from."""
        definition = self._sqlite_definition(CARE_CASE.name)
        return {word for column in columns for word in (column.lower(), *_words(_source_of(column, definition)))}

    def _sqlite_definition(self, name: str) -> str:
        return _bare(self._connection.execute(_SQLITE_TEXT, {"name": name}).scalar() or "")


def _postgres_key(diag: Diagnostic) -> tuple[str | None, ...]:
    """Return the names that identify a constraint: its own, its table's schema, the table's, a column's, a domain's."""
    return (diag.constraint_name, diag.schema_name, diag.table_name, diag.column_name, diag.datatype_name)


def _words(expression: str) -> list[str]:
    return re.findall(r"\w+", expression.lower())


def _condition_of(check: str, definition: str) -> str:
    """Return the condition of a check constraint.

    SQLite calls a constraint by its name or, where it has none, by its condition.
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
    """Return a definition without its literals and comments, whose words and parentheses do not count."""
    return re.sub(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", "''", definition, flags=re.DOTALL)
