"""The tables of a target database, derived from the field table.

A column's key is the field's name in the contract, so that a row of a case can be inserted unchanged.
"""

from typing import Any, assert_never

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    func,
)

from carecase_worker.cases.care_case import FIELDS, KEY, CaseField, FieldType

VERSION = "ingest_version"
ENTRY_VERSION = "entry_version"

VERSION_TABLE = "carecase_schema"
"""The table of Alembic's revision; no other application's migrations use this name."""

METADATA = MetaData()


def _type(field: CaseField) -> Any:
    match field.type:
        case FieldType.INT32:
            return Integer()
        case FieldType.DOUBLE:
            return Double()
        case FieldType.STRING:
            return String(field.max_length)
        case FieldType.BOOLEAN:
            return Boolean()
        case FieldType.DATE_TIME:
            return DateTime(timezone=True)
        case never:
            assert_never(never)


def _column(field: CaseField) -> Column[Any]:
    if field.name == KEY:
        return Column(field.column, _type(field), key=field.name, primary_key=True, autoincrement=False)
    return Column(field.column, _type(field), key=field.name, nullable=field.nullable)


CARE_CASE = Table(
    "care_case",
    METADATA,
    *(_column(field) for field in FIELDS),
    # the version that the case holds (case_versions.py)
    Column(VERSION, BigInteger, nullable=False),
    # the version that created it, from which it has its entry date and user
    Column(ENTRY_VERSION, BigInteger, nullable=False),
)

INGEST_LEDGER = Table(
    "ingest_ledger",
    METADATA,
    Column("job_id", Uuid, primary_key=True),
    Column("chunk_no", Integer, primary_key=True, autoincrement=False),
    Column("outcome", LargeBinary, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ingest_ledger_applied_at", "applied_at"),
)

OUR_TABLES = frozenset({*METADATA.tables, VERSION_TABLE})
"""The names of all tables that belong to this service."""
