"""The log and its index beside an SQLite file: whoever opens another file of the name takes neither for its own."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.builders import a_case
from tests.integration.targets.engines import engine_at
from tests.integration.targets.refusals.spoiling import apply
from tests.integration.targets.sqlite_files import keys_in

from carecase_worker.cases.outcomes import CREATED, UPDATED
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.tenants import Tenant

UPSERT = DIALECTS["sqlite"].writing.upsert


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cases.sqlite"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """The engine of a file with one case, 1; its note had more in it before."""
    Path(f"{path}-carecase").write_bytes(b"9" * 1024)
    engine = engine_at(f"sqlite:///{path}")
    assert apply(engine, UPSERT, a_case(1)) == [CREATED]
    yield engine
    engine.dispose()


def back_up(path: Path) -> Path:
    copy = path.with_name("backup")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


@pytest.fixture
def latecomer(path: Path) -> Iterator[Engine]:
    """The engine of another process, which has not opened the file yet."""
    engine = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": f"sqlite:///{path}"})))
    yield engine
    engine.dispose()


def test_whoever_opens_a_new_file_removes_log_and_index_of_the_old_one(
    engine: Engine, path: Path, latecomer: Engine
) -> None:
    """The other process has both open still, so that none of the new ones has their numbers."""
    back_up(path).rename(path)
    beside = [Path(f"{path}{suffix}") for suffix in ("-wal", "-shm")]
    before = [one.stat().st_ino for one in beside]
    assert apply(latecomer, UPSERT, a_case(1), seq=2) == [UPDATED]
    assert all(one.stat().st_ino != number for one, number in zip(beside, before, strict=True))


def test_a_file_that_is_restored_with_its_own_log_has_what_is_in_the_log(
    engine: Engine, path: Path, latecomer: Engine
) -> None:
    assert apply(engine, UPSERT, a_case(2)) == [CREATED]
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{path}{suffix}.copy")
    assert apply(engine, UPSERT, a_case(3)) == [CREATED]
    for suffix in ("", "-wal"):
        Path(f"{path}{suffix}.copy").rename(f"{path}{suffix}")
    Path(f"{path}-shm").unlink()
    assert apply(latecomer, UPSERT, a_case(2), a_case(3), seq=2) == [UPDATED, CREATED]
    assert keys_in(path) == [1, 2, 3]


def test_behind_a_symbolic_link_it_is_the_log_of_the_file_that_is_removed(engine: Engine, path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    linked, latecomer = (
        engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": f"sqlite:///{link}"}))) for _ in range(2)
    )
    engine.dispose()
    copy = back_up(path)
    assert apply(linked, UPSERT, a_case(2)) == [CREATED]
    log = Path(f"{path}-wal").stat().st_ino
    copy.rename(path)
    assert apply(latecomer, UPSERT, a_case(1), a_case(3), seq=2) == [UPDATED, CREATED]
    assert Path(f"{path}-wal").stat().st_ino != log
    for one in (linked, latecomer):
        one.dispose()
    assert keys_in(path) == [1, 3]


def test_the_time_limit_of_an_attempt_ends_with_it(engine: Engine) -> None:
    """A look at all cases, which comes later on the same connection, may take as long as it takes."""
    with engine.connect() as connection:
        DIALECTS["sqlite"].writing.limit_statements(connection, 0)
    count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100000) SELECT count(*) FROM c"
    with engine.connect() as connection:
        assert connection.exec_driver_sql(count).scalar_one() == 100_000
