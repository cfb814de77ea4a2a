"""Constraints of PostgreSQL: errors name them, the catalogue has their columns."""

from psycopg import Error as PostgresError
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, text

from carecase_worker.targets.dialects.constraints import Broken, ConstraintReports

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


def _broken(connection: Connection, error: PostgresError) -> Broken:
    names = ("constraint", "schema", "relation", "column", "datatype")
    found = connection.execute(_COLUMNS, dict(zip(names, _identity_of(error.diag), strict=True))).scalars()
    columns = frozenset(column or "" for column in found)
    if error.diag.context:  # of code, such as a trigger's, which may name a constraint that does not exist
        return Broken(None, columns or None)
    return Broken(error.diag.constraint_name, columns)


def _identity(error: PostgresError) -> tuple[str | None, ...]:
    return _identity_of(error.diag)


def _identity_of(diag: Diagnostic) -> tuple[str | None, ...]:
    """Return the names that identify a constraint: its own, its table's schema, the table's, a column's, a domain's."""
    return (diag.constraint_name, diag.schema_name, diag.table_name, diag.column_name, diag.datatype_name)


CONSTRAINTS = ConstraintReports(
    kinds={
        "23502": "a not-null constraint",
        "23503": "a foreign key",
        "23505": "a unique constraint",
        "23514": "a check constraint",
        "23P01": "an exclusion constraint",
    },
    identity=_identity,
    broken=_broken,
)
