"""A 409 names the fields of the contract that a constraint is on; one on none of them is not the item's fault."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from tests.builders import a_case
from tests.integration.targets.engines import engine_at
from tests.integration.targets.refusals.spoiling import apply
from tests.services import Services

from carecase_worker.cases.outcomes import CREATED, REFUSED, Kind
from carecase_worker.targets.dialects.registry import DIALECTS, dialect_of
from carecase_worker.targets.schema.migration import create_database

SECRET = "S3CRET"
GOOD, BAD = a_case(1), a_case(2, case_Status=SECRET, case_Priority=-1)

POSTGRES = {
    "a check": ("ADD CONSTRAINT c CHECK (case_priority >= 0)", "case_Priority"),
    "a check on two": ("ADD CHECK (case_priority >= 0 OR case_status IS NULL)", "case_Priority, case_Status"),
    "a foreign key": ("ADD CONSTRAINT c FOREIGN KEY (case_status) REFERENCES statuses", "case_Status"),
    "a foreign key that is checked at the end": (
        "ADD FOREIGN KEY (case_status) REFERENCES statuses DEFERRABLE INITIALLY DEFERRED", "case_Status",
    ),
    "a unique constraint": ("ADD CONSTRAINT c UNIQUE (group_id, case_status)", "case_Status, group_ID"),
    "an exclusion": ("ADD EXCLUDE USING btree (lower(case_status) WITH =)", "case_Status"),
    "a not-null constraint": ("ALTER group_id SET NOT NULL", "group_ID"),
    "a domain": ("ALTER case_status TYPE a_status", "case_Status"),
    "a domain of a domain": ("ALTER case_status TYPE a_short_status", "case_Status"),
    "a generated column": (
        "ADD twice integer GENERATED ALWAYS AS (2 * case_priority) STORED CHECK (twice >= 0)", "case_Priority",
    ),
    "a check beside a generated column of another one": (
        "ADD twice integer GENERATED ALWAYS AS (2 * case_priority) STORED, ADD CHECK (case_status IS NULL)",
        "case_Status",
    ),
    "one of ours and one that is not": (
        "ADD other integer DEFAULT 1, ADD CHECK (other = case_priority + 1)", "case_Priority",
    ),
}  # fmt: skip
"""What is added to the table, and the fields to be named. The statement after it, if any, makes an index."""
POSTGRES_INDEXES = {
    "a unique index": ("(case_status)", "case_Status"),
    "a unique index on an expression": ("(lower(case_status), (case_priority + 1))", "case_Priority, case_Status"),
    "a unique index on some rows": ("((1)) WHERE case_priority < 0", "case_Priority"),
}

FOREIGN = {
    "a column that must not be null": ("ADD other integer NOT NULL",),
    "a check": ("ADD other integer DEFAULT -1 CHECK (other > 0)",),
    "a unique constraint": ("ADD other integer DEFAULT 1 UNIQUE",),
    "a foreign key": ("ADD other integer DEFAULT 1", "ADD FOREIGN KEY (other) REFERENCES numbers"),
    "a domain": ("ADD other positive DEFAULT -1",),
}
"""Constraints wholly on columns that the contract does not know; the case without them is there before."""


@pytest.fixture(scope="module")
def postgres(servers: Services) -> Iterator[Engine]:
    """The engine of a database whose schema these tests may spoil."""
    create_database(servers.postgres_url, "constraints")
    engine = engine_at(servers.postgres_url.removesuffix("demo") + "constraints")
    execute(
        engine,
        "CREATE TABLE statuses (status varchar(8) PRIMARY KEY)",
        "CREATE TABLE numbers (number integer PRIMARY KEY)",
        f"CREATE DOMAIN a_status AS varchar(8) CHECK (value <> '{SECRET}')",
        "CREATE DOMAIN a_short_status AS a_status CHECK (length(value) < 9)",
        "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    )
    yield engine
    engine.dispose()


@pytest.fixture
def engine(postgres: Engine) -> Iterator[Engine]:
    """The same with the table as it should be, and one case in it that some others conflict with."""
    execute(postgres, "DROP TABLE IF EXISTS kept", "ALTER TABLE care_case RENAME TO kept")
    execute(postgres, "CREATE TABLE care_case (LIKE kept INCLUDING ALL)")
    yield postgres
    execute(postgres, "DROP TABLE IF EXISTS follower", "DROP TABLE care_case", "ALTER TABLE kept RENAME TO care_case")
    postgres.dispose()


def execute(engine: Engine, *statements: str) -> None:
    owner = create_engine(engine.url)
    with owner.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    owner.dispose()


def conflict(engine: Engine, what: str) -> str:
    """The text that the bad item is answered with, once the good one is applied."""
    good, bad = apply(engine, dialect_of(engine).writing.upsert, GOOD | {"group_ID": "g", "case_Priority": 0}, BAD)
    assert (good, bad.kind) == (CREATED, Kind.CONFLICT), what
    assert SECRET not in bad.body
    assert "-1" not in bad.body
    return bad.body


def same_again(engine: Engine) -> None:
    """Have the table hold a case with which the bad one conflicts in whatever must be unique."""
    apply(engine, dialect_of(engine).writing.upsert, BAD | {"case_Key": 9, "group_ID": None})


@pytest.mark.parametrize("what", POSTGRES)
def test_the_fields_of_a_constraint_are_named(engine: Engine, what: str) -> None:
    added, fields = POSTGRES[what]
    if "UNIQUE" in added or "EXCLUDE" in added:
        same_again(engine)
        added = added.replace("UNIQUE", "UNIQUE NULLS NOT DISTINCT")
    execute(engine, f"ALTER TABLE care_case {added}")
    body = conflict(engine, what)
    assert body.startswith(f"{fields}: the item conflicts with a")
    assert ("(c)" in body) == ("CONSTRAINT c" in added)


@pytest.mark.parametrize("what", POSTGRES_INDEXES)
def test_the_fields_of_an_index_are_named(engine: Engine, what: str) -> None:
    same_again(engine)
    on, fields = POSTGRES_INDEXES[what]
    execute(engine, f"CREATE UNIQUE INDEX i ON care_case {on}")
    assert conflict(engine, what) == f"{fields}: the item conflicts with a unique constraint of the target database (i)"


def test_the_fields_that_another_table_refers_to_are_named(engine: Engine) -> None:
    same_again(engine)
    execute(
        engine,
        "ALTER TABLE care_case ADD UNIQUE (case_status)",
        f"CREATE TABLE follower AS SELECT varchar '{SECRET}' AS of",
        "ALTER TABLE follower ADD CONSTRAINT c FOREIGN KEY (of) REFERENCES care_case (case_status)",
    )
    (outcome,) = apply(engine, DIALECTS["postgresql"].writing.upsert, a_case(9, case_Status="new"), seq=2)
    assert outcome.kind is Kind.CONFLICT
    assert outcome.body == "case_Status: the item conflicts with a foreign key of the target database (c)"


def test_a_constraint_of_a_partition_is_one_of_the_table(engine: Engine) -> None:
    execute(
        engine,
        "CREATE TABLE parted (LIKE care_case INCLUDING ALL) PARTITION BY RANGE (case_key)",
        "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100)",
        "ALTER TABLE part ADD CONSTRAINT c CHECK (case_priority >= 0)",
        "DROP TABLE care_case",
        "ALTER TABLE parted RENAME TO care_case",
    )
    assert conflict(engine, "a partition").startswith("case_Priority: the item conflicts with a check constraint")


@pytest.mark.parametrize("what", FOREIGN)
def test_a_constraint_on_columns_that_the_contract_does_not_know_is_not_the_items_fault(
    engine: Engine, what: str
) -> None:
    upsert = DIALECTS["postgresql"].writing.upsert
    if "unique" in what:
        apply(engine, upsert, a_case(9))
    execute(engine, *(f"ALTER TABLE care_case {change}" for change in FOREIGN[what]))
    assert apply(engine, upsert, a_case(1), a_case(2)) == [REFUSED, REFUSED]
    execute(engine, "ALTER TABLE care_case DROP other")
    assert apply(engine, upsert, a_case(1), a_case(2), seq=2) == [CREATED, CREATED], "once the schema is mended"


def test_a_constraint_of_a_table_that_a_trigger_writes_is_not_the_items_fault(engine: Engine) -> None:
    execute(
        engine,
        "DROP TABLE IF EXISTS noted",
        "CREATE TABLE noted (case_status text CONSTRAINT c CHECK (case_status IS NULL))",
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO noted VALUES (NEW.case_status); RETURN NEW; END $$",
        "CREATE TRIGGER note BEFORE INSERT ON care_case FOR EACH ROW EXECUTE FUNCTION note()",
    )
    assert apply(engine, DIALECTS["postgresql"].writing.upsert, GOOD, BAD) == [CREATED, REFUSED]


@pytest.mark.parametrize(
    ("clause", "fields"),
    [
        ("", "The item"),
        (", CONSTRAINT = NEW.case_status, TABLE = 'care_case', SCHEMA = 'public'", "The item"),
        (
            ", COLUMN = 'case_status', TABLE = 'care_case', SCHEMA = 'public', CONSTRAINT = NEW.case_status",
            "case_Status: the item",
        ),
    ],
)
def test_a_trigger_that_raises_a_constraints_state_gives_a_conflict(engine: Engine, clause: str, fields: str) -> None:
    execute(
        engine,
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.case_priority < 0"
        f" THEN RAISE EXCEPTION '%', NEW USING ERRCODE = 'foreign_key_violation'{clause}; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER note BEFORE INSERT ON care_case FOR EACH ROW EXECUTE FUNCTION note()",
    )
    assert conflict(engine, clause).startswith(f"{fields} conflicts with a foreign key of the target database")


SQLITE = {
    "a check without a name": ("case_priority INTEGER CHECK (case_priority >= 0)", "", "case_Priority"),
    "a check with a name": ("case_priority INTEGER", "CONSTRAINT c CHECK (length(case_status) < 3)", "case_Status"),
    "a check on two": (
        "case_priority INTEGER", 'CONSTRAINT "a check" CHECK (case_priority >= 0 OR case_status IS NULL)',
        "case_Priority, case_Status",
    ),
    "a check with a parenthesis in a text": (
        "case_priority INTEGER", "CONSTRAINT p CHECK (case_status <> ')' AND case_priority >= 0)",
        "case_Priority, case_Status",
    ),
    "a check with words that are no columns": (
        "case_priority INTEGER", "CONSTRAINT w CHECK (case_priority >= 0 /* (case_id */ OR case_status = 'case_id')",
        "case_Priority, case_Status",
    ),
    "a check without a name and with a text": (
        "case_priority INTEGER CHECK (case_priority >= 0 OR case_status = 'case_id')", "", "case_Priority, case_Status",
    ),
    "a foreign key": ("case_priority INTEGER", "FOREIGN KEY (case_status) REFERENCES statuses (status)", "case_Status"),
    "a unique constraint": ("case_priority INTEGER", "UNIQUE (case_status, careplan_key)", "carePlan_Key, case_Status"),
    "a generated column": (
        "case_priority INTEGER, twice INTEGER GENERATED ALWAYS AS (2 * (case_priority)) CHECK (twice >= 0)", "",
        "case_Priority",
    ),
}  # fmt: skip
"""The column `case_priority` as it is defined, what is added at the end, and the fields to be named."""
SQLITE_FOREIGN = {
    "a column that must not be null": "other INTEGER NOT NULL",
    "a check": "other INTEGER DEFAULT -1 CHECK (other > 0)",
    "a check with a name": "other INTEGER DEFAULT -1 CONSTRAINT c CHECK (other > 0)",
    "a unique constraint": "other INTEGER DEFAULT 1 UNIQUE",
    "a foreign key": "other INTEGER DEFAULT 1 REFERENCES numbers (number)",
}


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """The engine of a file whose schema a test may spoil."""
    engine = engine_at(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    tables = ("CREATE TABLE statuses (status TEXT PRIMARY KEY)", "CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    execute(engine, *tables)
    yield engine
    engine.dispose()


def define(engine: Engine, priority: str, added: str = "") -> None:
    """Make the empty table anew with another column `case_priority` and something at the end."""
    with engine.connect() as connection:
        definition = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'care_case'")).scalar_one()
    changed = definition.replace("case_priority INTEGER", priority)
    if added:
        changed = f"{changed.rstrip().removesuffix(')')}, {added})"
    execute(engine, "DROP TABLE care_case", changed)


@pytest.mark.parametrize("what", SQLITE)
def test_the_fields_of_a_constraint_of_sqlite_are_named(sqlite: Engine, what: str) -> None:
    priority, added, fields = SQLITE[what]
    define(sqlite, priority, added)
    if "UNIQUE" in added:
        same_again(sqlite)
    assert conflict(sqlite, what).startswith(f"{fields}: the item conflicts with a")


@pytest.mark.parametrize("on", ["(case_status)", "(lower(case_status))"])
def test_the_fields_of_an_index_of_sqlite_are_named(sqlite: Engine, on: str) -> None:
    same_again(sqlite)
    execute(sqlite, f"CREATE UNIQUE INDEX i ON care_case {on}")
    assert conflict(sqlite, on).startswith("case_Status: the item conflicts with a unique constraint")


@pytest.mark.parametrize("what", SQLITE_FOREIGN)
def test_a_constraint_of_sqlite_that_the_contract_does_not_know_is_not_the_items_fault(
    sqlite: Engine, what: str
) -> None:
    define(sqlite, f"case_priority INTEGER, {SQLITE_FOREIGN[what]}")
    expected = [CREATED, REFUSED] if "unique" in what else [REFUSED, REFUSED]
    assert apply(sqlite, DIALECTS["sqlite"].writing.upsert, a_case(1), a_case(2)) == expected


def test_a_field_of_ours_that_sqlite_wants_is_named(sqlite: Engine) -> None:
    define(sqlite, "case_priority INTEGER NOT NULL")
    (outcome,) = apply(sqlite, DIALECTS["sqlite"].writing.upsert, a_case(1))
    assert outcome.body == "case_Priority: the item conflicts with a not-null constraint of the target database"


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 37), reason="this SQLite knows no strict tables")
def test_a_constraint_that_sqlite_does_not_name_gives_a_conflict_without_fields(sqlite: Engine) -> None:
    execute(
        sqlite,
        "CREATE TABLE counts (number INTEGER) STRICT",
        "CREATE TRIGGER count BEFORE INSERT ON care_case BEGIN INSERT INTO counts VALUES (NEW.case_status); END",
    )
    (outcome,) = apply(sqlite, DIALECTS["sqlite"].writing.upsert, a_case(1, case_Status="x"))
    assert (outcome.kind, outcome.body) == (
        Kind.CONFLICT,
        "The item conflicts with a constraint of the target database.",
    )
