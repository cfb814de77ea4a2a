"""A path of an SQLite file, as it is written in a URL, names the same file for every process and for ever."""

from pathlib import Path

import pytest
from tests.builders import a_case
from tests.integration.targets.engines import engine_at
from tests.integration.targets.refusals.spoiling import apply
from tests.integration.targets.sqlite_files import keys_in

from carecase_worker.cases.outcomes import CREATED
from carecase_worker.targets.dialects.registry import DIALECTS

UPSERT = DIALECTS["sqlite"].writing.upsert


def test_a_relative_path_stays_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    engine = engine_at("sqlite:///cases.sqlite")
    monkeypatch.chdir("/")
    engine.dispose()
    assert apply(engine, UPSERT, a_case(1)) == [CREATED]
    engine.dispose()
    assert keys_in(tmp_path / "cases.sqlite") == [1]


@pytest.mark.parametrize("name", ["a#b.sqlite", "%zz+é.sqlite", "file:c.sqlite"])
def test_a_path_of_any_letters_is_opened(tmp_path: Path, name: str) -> None:
    engine = engine_at(f"sqlite:///{tmp_path / name}")
    assert apply(engine, UPSERT, a_case(1)) == [CREATED]
    engine.dispose()
    assert keys_in(tmp_path / name) == [1]
