"""A schema that is older, newer, half there or somebody else's: what is reported, what is done, who works on it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from tests.integration.targets.databases import a_database, ask, engine_at, run, write
from tests.integration.targets.grounds import GROUNDS
from tests.services import Services

from carecase_worker.cases.outcomes import CREATED
from carecase_worker.errors import SchemaRefused, TargetFailure
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.revisions import context_of
from carecase_worker.targets.schema.state import schema_differences, state
from carecase_worker.targets.tables import METADATA

NEWER = "UPDATE carecase_schema SET version_num = '9999'"
ADDED = (
    "ALTER TABLE care_case ADD COLUMN later INTEGER",
    "ALTER TABLE care_case ADD COLUMN later_still INTEGER NOT NULL DEFAULT 7",
    "CREATE TABLE later_table (id INTEGER PRIMARY KEY)",
    "CREATE INDEX later_index ON care_case (case_id)",
    "CREATE UNIQUE INDEX later_unique_index ON ingest_ledger (chunk_no, job_id)",
)
WIDENED = (
    "ALTER TABLE care_case ALTER COLUMN case_id TYPE varchar(200)",
    "ALTER TABLE care_case ALTER COLUMN case_reason TYPE text",
    "ALTER TABLE care_case ALTER COLUMN do_not_contact DROP NOT NULL",
    "ALTER TABLE care_case ADD COLUMN numbered bigint GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE care_case ADD COLUMN doubled int GENERATED ALWAYS AS (case_key / 2) STORED",
    "ALTER TABLE care_case ADD CONSTRAINT later_check CHECK (case_key <> 77)",
    "COMMENT ON COLUMN care_case.case_id IS 'later'",
)
CHANGED = {
    "ALTER TABLE care_case DROP COLUMN group_id": "lacks column care_case.group_id",
    "ALTER TABLE care_case RENAME COLUMN group_id TO groups": "lacks column care_case.group_id",
    "ALTER TABLE care_case ADD COLUMN needed int NOT NULL": "has column care_case.needed",
    "ALTER TABLE care_case ALTER COLUMN case_id TYPE varchar(3)": "has another type care_case.case_id",
    "ALTER TABLE care_case ALTER COLUMN case_score TYPE varchar(30)": "has another type care_case.case_score",
    "ALTER TABLE care_case ALTER COLUMN case_id SET NOT NULL": "has another nullable care_case.case_id",
    "ALTER TABLE care_case ALTER COLUMN case_id TYPE varchar(63)": "has another type care_case.case_id",
    "ALTER TABLE care_case ALTER COLUMN case_id TYPE bytea USING NULL": "has another type care_case.case_id",
    "ALTER TABLE care_case ALTER COLUMN case_end_date TYPE timestamp": "has another type care_case.case_end_date",
    "DROP TABLE ingest_ledger": "lacks table ingest_ledger",
    "DROP INDEX ingest_ledger_applied_at": "lacks index ingest_ledger_applied_at",
    "ALTER TABLE care_case RENAME TO cases": "lacks table care_case",
}
NOT_OURS = "the schema is at revision 9999, newer than this version's 0001, so this version does not change it"


@pytest.fixture(params=[*DIALECTS])
def url(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> str:
    """An empty database of each kind."""
    return GROUNDS[request.param].empty(servers, tmp_path)


@pytest.fixture(scope="module")
def own(servers: Services) -> str:
    return a_database(servers)


@pytest.fixture
def emptied(own: str) -> str:
    run(own, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return own


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    with engine_at(url) as engine:
        yield engine


@pytest.fixture
def migrated(emptied: str) -> str:
    with engine_at(emptied) as engine:
        upgrade(engine)
    return emptied


def test_there_is_one_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", "carecase_worker.targets.schema:migrations")
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_the_migrations_lead_to_the_tables_of_this_version_and_to_nothing_wider(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(context_of(connection), METADATA) == []


def test_an_empty_database_is_reported_as_one_to_upgrade(engine: Engine, url: str) -> None:
    first, *others = schema_differences(engine)
    assert first == "it is at revision none, not 0001: run carecase db upgrade"
    assert "it lacks table care_case" in others
    with pytest.raises(TargetFailure, match="carecase db check"):
        write(url)


def test_a_newer_schema_that_only_added_is_worked_with(engine: Engine, url: str) -> None:
    upgrade(engine)
    run(url, *ADDED, NEWER)
    if engine.dialect.name == "postgresql":
        run(url, *WIDENED)
    assert schema_differences(engine) == []
    found = state(engine)
    assert (found.is_newer, found.revision, found.wanted) == (True, "9999", "0001")
    assert found.summary == "fits (it is at revision 9999, newer than this version's 0001, and only adds to it)"
    assert write(url) == [CREATED]


@pytest.mark.parametrize("statement", CHANGED)
def test_a_newer_schema_that_changed_something_is_not(migrated: str, statement: str) -> None:
    run(migrated, statement, NEWER)
    with engine_at(migrated) as engine:
        first, *others = schema_differences(engine)
        with pytest.raises(SchemaRefused) as refused:
            upgrade(engine)
    assert str(refused.value) == NOT_OURS
    assert first == (
        "it is at revision 9999, newer than this version's 0001, which cannot work with it: run the newer version"
    )
    assert f"it {CHANGED[statement]}" in others
    with pytest.raises(TargetFailure, match="carecase db check"):
        write(migrated)


def test_upgrade_leaves_a_newer_schema_as_it_is(engine: Engine, url: str) -> None:
    upgrade(engine)
    run(url, *ADDED, NEWER)
    with pytest.raises(SchemaRefused) as caught:
        upgrade(engine)
    assert str(caught.value) == f"{NOT_OURS}; this version works with it"
    assert ask(engine, "SELECT version_num FROM carecase_schema") == "9999"


def test_what_was_only_added_to_the_schema_by_others_is_no_fault_of_it(engine: Engine, url: str) -> None:
    upgrade(engine)
    run(url, *ADDED)
    assert schema_differences(engine) == []
    upgrade(engine)


def test_several_revisions_at_once_are_reported_and_left(engine: Engine, url: str) -> None:
    upgrade(engine)
    run(url, "INSERT INTO carecase_schema VALUES ('0000')")
    assert schema_differences(engine) == ["it is at revision 0000 and 0001, not 0001: run carecase db upgrade"]
    with pytest.raises(SchemaRefused) as caught:
        upgrade(engine)
    assert str(caught.value) == (
        "the schema is at several revisions at once, 0000 and 0001: keep only the right one in carecase_schema"
    )


def test_tables_that_lost_their_revision_are_taken_as_they_are(engine: Engine, url: str) -> None:
    for statement in ("DROP TABLE carecase_schema", "DELETE FROM carecase_schema"):
        upgrade(engine)
        run(url, statement)
        assert schema_differences(engine) == ["it is at revision none, not 0001: run carecase db upgrade"]
        assert write(url)
        upgrade(engine)
        assert schema_differences(engine) == []
    assert ask(engine, "SELECT count(*) FROM care_case") == 1


def test_tables_without_a_revision_that_are_not_ours_or_half_ours_are_left(engine: Engine, url: str) -> None:
    run(url, "CREATE TABLE care_case (case_key INTEGER PRIMARY KEY)")
    with pytest.raises(SchemaRefused) as caught:
        upgrade(engine)
    assert re.fullmatch(
        r"the schema has no revision, and its tables differ from this version's \((has|lacks) [a-z_. ]+\):"
        " restore carecase_schema with the tables, or rename them",
        str(caught.value),
    )
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM care_case")).keys() == ["case_key"]


def test_a_migration_that_fails_leaves_nothing(emptied: str) -> None:
    run(emptied, "CREATE TYPE ingest_ledger AS (a int)")  # a table of that name can be made no more
    with engine_at(emptied) as engine:
        with pytest.raises((TargetFailure, SchemaRefused)):
            upgrade(engine)
        assert ask(engine, "SELECT to_regclass('care_case') IS NULL AND to_regclass('carecase_schema') IS NULL")


class TestLesserUsers:
    @pytest.fixture
    def lesser(self, migrated: str) -> Iterator[str]:
        run(migrated, "DROP ROLE IF EXISTS lesser", "CREATE ROLE lesser LOGIN PASSWORD 'own'")
        run(migrated, "GRANT USAGE ON SCHEMA public TO lesser")
        yield migrated.replace("postgres:secret@", "lesser:own@")
        run(migrated, "DROP OWNED BY lesser", "DROP ROLE lesser")

    def test_one_who_may_use_the_two_tables_only_works(self, migrated: str, lesser: str) -> None:
        run(migrated, "GRANT SELECT, INSERT, UPDATE, DELETE ON care_case, ingest_ledger TO lesser")
        assert write(lesser) == [CREATED]

    def test_whoever_may_not_check_learns_which_privileges_are_missing(self, migrated: str, lesser: str) -> None:
        with pytest.raises(TargetFailure, match="lacks a privilege"):
            write(lesser)

    def test_whoever_may_not_upgrade_learns_which_privileges_are_missing(self, migrated: str, lesser: str) -> None:
        run(migrated, "DROP TABLE care_case, ingest_ledger, carecase_schema")
        with engine_at(lesser) as engine, pytest.raises(TargetFailure, match="CREATE on the schema"):
            upgrade(engine)
