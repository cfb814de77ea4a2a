"""The good usual way: SQLAlchemy Core, many rows a statement."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.dialects.postgresql import insert

from bench.cases import chunks_of_rows
from carecase_worker.cases.care_case import KEY
from carecase_worker.cases.validation import Row
from carecase_worker.targets.tables import CARE_CASE

_INSERT = insert(CARE_CASE)
# RETURNING is what makes SQLAlchemy send many rows in one statement
UPSERT = _INSERT.on_conflict_do_update(
    index_elements=[CARE_CASE.c[KEY]],
    set_={column.key: _INSERT.excluded[column.key] for column in CARE_CASE.c if column.key != KEY},
).returning(CARE_CASE.c[KEY])


def upsert(engine: Engine, rows: Sequence[Row]) -> None:
    """Upsert rows in a transaction."""
    with engine.begin() as connection:
        connection.execute(UPSERT, rows)


def upsert_rows(url: str, path: Path) -> Callable[[], None]:
    """Upsert a thousand rows a statement, a transaction each."""
    chunks = chunks_of_rows(path)
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    def run() -> None:
        for rows in chunks:
            upsert(engine, rows)

    return run
