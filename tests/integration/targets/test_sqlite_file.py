"""An SQLite file is replaced, deleted or spoiled under a worker: what is answered 201 is where it is looked for."""

import fcntl
import multiprocessing
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.integration.audit.locks import waits_for_a_lock
from tests.integration.targets.dry_runs import plan_of
from tests.integration.targets.engines import engine_at
from tests.integration.targets.refusals.spoiling import apply
from tests.integration.targets.sqlite_files import keys_in

from carecase_worker.cases.outcomes import CREATED, UPDATED, Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer

UPSERT = DIALECTS["sqlite"].writing.upsert


def engine_of(path: Path) -> Engine:
    return engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": f"sqlite:///{path}"})))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cases.sqlite"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """The engine of a file with one case, 1."""
    engine = engine_at(f"sqlite:///{path}")
    assert apply(engine, UPSERT, a_case(1)) == [CREATED]
    yield engine
    engine.dispose()


@pytest.fixture
def backup(engine: Engine, path: Path) -> Path:
    """A good copy of the file, taken before case 2 came into the file."""
    copy = path.with_name("backup")
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    assert apply(engine, UPSERT, a_case(2)) == [CREATED]
    return copy


def test_a_file_that_is_replaced_is_the_one_that_is_written(engine: Engine, path: Path, backup: Path) -> None:
    backup.rename(path)
    assert apply(engine, UPSERT, a_case(1), a_case(3), seq=2) == [UPDATED, CREATED]
    assert keys_in(path) == [1, 3]


def test_the_old_file_is_whole_wherever_it_was_moved(engine: Engine, path: Path, backup: Path) -> None:
    path.rename(path.with_name("old"))
    backup.rename(path)
    assert apply(engine, UPSERT, a_case(3)) == [CREATED]
    assert keys_in(path) == [1, 3]
    assert keys_in(path.with_name("old")) == [1, 2]


_ENGINES: dict[Path, Engine] = {}
"""The engines of a process of its own."""


def apply_elsewhere(path: Path, key: int, seq: int) -> list[Outcome]:
    """Apply a case in this process, with the connection that it has."""
    engine = _ENGINES.setdefault(path, engine_of(path))
    return apply(engine, UPSERT, a_case(key), seq=seq)


def test_several_processes_that_have_the_old_file_do_not_spoil_the_new_one(
    engine: Engine, path: Path, backup: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as one, ProcessPoolExecutor(1, spawn) as another:
        for key, process in enumerate((one, another), start=10):
            assert process.submit(apply_elsewhere, path, key, 1).result(300) == [CREATED]
        backup.rename(path)
        assert apply(engine, UPSERT, a_case(20)) == [CREATED]
        assert one.submit(apply_elsewhere, path, 21, 1).result(300) == [CREATED]
        assert apply(engine, UPSERT, a_case(1), seq=2) == [UPDATED]
        assert another.submit(apply_elsewhere, path, 22, 1).result(300) == [CREATED]
    assert apply(engine, UPSERT, a_case(1), seq=3) == [UPDATED]
    assert keys_in(path) == [1, 20, 21, 22]


def test_processes_write_the_same_file_after_one_of_them_has_looked_for_it_while_it_was_away(
    engine: Engine, path: Path
) -> None:
    away = path.with_name("away")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        assert other.submit(apply_elsewhere, path, 10, 1).result(300) == [CREATED]
        path.rename(away)
        with pytest.raises(TargetFailure):
            apply(engine, UPSERT, a_case(20))
        away.rename(path)
        assert apply(engine, UPSERT, a_case(20)) == [CREATED]
        assert other.submit(apply_elsewhere, path, 21, 1).result(300) == [CREATED]
        assert apply(engine, UPSERT, a_case(22)) == [CREATED]
    assert keys_in(path) == [1, 10, 20, 21, 22]


def test_a_process_that_first_comes_after_the_change_does_not_take_the_old_log(
    engine: Engine, path: Path, backup: Path
) -> None:
    """The log of the old file still lies there then, under the name that the new one's has."""
    backup.rename(path)
    latecomer = engine_of(path)
    assert apply(latecomer, UPSERT, a_case(1), a_case(30), seq=2) == [UPDATED, CREATED]
    assert apply(engine, UPSERT, a_case(31)) == [CREATED]
    assert apply(latecomer, UPSERT, a_case(32)) == [CREATED]
    latecomer.dispose()
    assert keys_in(path) == [1, 30, 31, 32]


def replaced_at_commit(engine: Engine, path: Path, backup: Path) -> None:
    """Have the file replaced by its backup when the next transaction commits."""

    def replace(_: object) -> None:
        if backup.exists():
            backup.rename(path)

    event.listen(engine, "commit", replace)


def test_a_file_that_is_replaced_while_a_chunk_is_written_gets_the_chunk(
    engine: Engine, path: Path, backup: Path
) -> None:
    replaced_at_commit(engine, path, backup)
    assert apply(engine, UPSERT, a_case(3)) == [CREATED]
    assert keys_in(path) == [1, 3]


def test_a_file_that_is_replaced_while_a_group_is_written_gets_the_group(
    engine: Engine, path: Path, backup: Path
) -> None:
    replaced_at_commit(engine, path, backup)
    members = [(LedgerKey(uuid4(), 0), plan_of(a_case(key), seq=2)) for key in (1, 3)]
    assert Writer(engine, UPSERT).write_group(members) == [[UPDATED], [CREATED]]
    assert keys_in(path) == [1, 3]


def test_a_symbolic_link_that_is_turned_is_followed(engine: Engine, path: Path, backup: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    linked = engine_of(link)
    assert apply(linked, UPSERT, a_case(3)) == [CREATED]
    link.unlink()
    link.symlink_to(backup)
    assert apply(linked, UPSERT, a_case(4)) == [CREATED]
    linked.dispose()
    assert (keys_in(path), keys_in(backup)) == ([1, 2, 3], [1, 4])


def _delete(path: Path) -> None:
    path.unlink()


def _delete_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def _replace_by_an_empty_one(path: Path) -> None:
    path.unlink()
    path.touch()


def _replace_by_another(content: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        path.write_bytes(content)

    return spoil


def _replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [
        _delete,
        _delete_directory,
        _replace_by_an_empty_one,
        _replace_by_another(b"not a database" * 1000),
        _replace_by_another(b"SQLite format 3\0" + b"\xff" * 8176),
        _replace_by_a_directory,
    ],
)
def test_a_file_that_is_gone_or_spoiled_is_a_database_that_is_away(
    path: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    own = tmp_path / "directory" / path.name
    own.parent.mkdir()
    engine = engine_at(f"sqlite:///{own}")
    apply(engine, UPSERT, a_case(1))
    spoil(own)
    files = sorted(own.parent.glob("*")) if own.parent.exists() else []
    for _ in range(2):
        with pytest.raises(TargetFailure) as failure:
            apply(engine, UPSERT, a_case(2))
        assert failure.value.kind is FailureKind.AWAY
    assert not set(own.parent.glob("*.sqlite")) - set(files), "no file is made"
    engine.dispose()


def test_a_file_that_comes_back_is_written_again(engine: Engine, path: Path, backup: Path) -> None:
    path.unlink()
    with pytest.raises(TargetFailure):
        apply(engine, UPSERT, a_case(3))
    backup.rename(path)
    assert apply(engine, UPSERT, a_case(3)) == [CREATED]
    assert keys_in(path) == [1, 3]


def test_only_the_migrations_make_a_file(path: Path) -> None:
    engine = engine_of(path)
    with pytest.raises(TargetFailure):
        apply(engine, UPSERT, a_case(1))
    assert any("carecase db upgrade" in line for line in schema_differences(engine))
    assert not path.exists()
    upgrade(engine)
    assert apply(engine, UPSERT, a_case(1)) == [CREATED]
    engine.dispose()


def test_a_file_whose_directory_is_not_there_cannot_be_made(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "nowhere" / "cases.sqlite")
    with pytest.raises(TargetFailure) as failure:
        upgrade(engine)
    assert failure.value.kind is FailureKind.AWAY


def test_a_file_that_is_replaced_while_it_is_opened_is_opened_anew(path: Path, engine: Engine, backup: Path) -> None:
    """Whoever opens it waits for whoever does, and knows by then which file it is to be."""
    engine.dispose()
    with Path(f"{path}-carecase").open() as note, ThreadPoolExecutor(1) as threads:
        fcntl.flock(note, fcntl.LOCK_EX)
        applied = threads.submit(apply, engine, UPSERT, a_case(3))
        eventually(waits_for_a_lock, what="it is about to be opened")
        shutil.move(backup, path)
        fcntl.flock(note, fcntl.LOCK_UN)
        with pytest.raises(TargetFailure) as failure:
            applied.result(300)
    assert failure.value.kind is FailureKind.AWAY
    assert apply(engine, UPSERT, a_case(3), seq=2) == [CREATED]
    assert keys_in(path) == [1, 3]


def test_a_file_is_used_though_no_note_can_be_kept_beside_it(path: Path) -> None:
    Path(f"{path}-carecase").mkdir()
    engine = engine_at(f"sqlite:///{path}")
    assert apply(engine, UPSERT, a_case(1)) == [CREATED]
    engine.dispose()
    assert keys_in(path) == [1]


def test_the_time_limit_of_one_statement_does_not_end_the_next(engine: Engine) -> None:
    """The deadline of the one before has passed."""
    limit = DIALECTS["sqlite"].writing.limit_statements
    with engine.connect() as connection:
        limit(connection, 0)
        connection.exec_driver_sql("SELECT 1")  # is done before its time is looked at
        limit(connection, 3600)
        count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100000) SELECT count(*) FROM c"
        assert connection.exec_driver_sql(count).scalar_one() == 100_000
