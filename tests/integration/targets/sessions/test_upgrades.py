"""An upgrade of a schema waits for another one of that schema, and for no other."""

import threading

import pytest
from sqlalchemy import create_engine, text
from tests.integration.targets.databases import engine_at

from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences


def test_an_upgrade_waits_for_another_one_however_long_that_takes(schemas: str) -> None:
    other = create_engine(schemas)
    with engine_at(schemas, LOCK_TIMEOUT_SECONDS="0.1", STATEMENT_TIMEOUT_SECONDS="1") as engine:
        with other.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(1667330661)"))
            upgrading = threading.Thread(target=upgrade, args=(engine,))
            upgrading.start()
            upgrading.join(1.5)
            assert upgrading.is_alive(), "it waits, although a worker would not"
        upgrading.join(120)
        assert schema_differences(engine) == []
    other.dispose()


def test_an_upgrade_waits_for_a_table_no_longer_than_a_worker_does(schemas: str) -> None:
    """Whoever needs the table, too, waits behind it."""
    other = create_engine(schemas)
    with engine_at(schemas, LOCK_TIMEOUT_SECONDS="0.1") as engine:
        upgrade(engine)
        with other.connect() as connection:
            connection.execute(text("SET idle_in_transaction_session_timeout = '60s'"))
            connection.execute(text("LOCK TABLE carecase_schema"))
            with pytest.raises(TargetFailure) as failure:
                upgrade(engine)
    assert failure.value.kind is FailureKind.TOO_SLOW
    other.dispose()


def test_tenants_of_one_database_are_upgraded_at_the_same_time(schemas: str) -> None:
    failed: list[BaseException] = []

    def upgrade_one(path: str) -> None:
        try:
            with engine_at(schemas, f"-csearch_path={path}") as engine:
                upgrade(engine)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    paths = ("tenant_a", "tenant_b,tenant_a", "public,tenant_b")
    threads = [threading.Thread(target=upgrade_one, args=(path,)) for path in paths * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for path in paths:
        with engine_at(schemas, f"-csearch_path={path}") as engine:
            assert schema_differences(engine) == []
