"""The usual way: the ORM, case by case."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, registry

from bench.cases import chunks_of_rows
from carecase_worker.targets.tables import CARE_CASE


class Case:
    """A case as an ORM has it."""

    def __init__(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)


registry().map_imperatively(Case, CARE_CASE)


def merge_and_commit(url: str, path: Path) -> Callable[[], None]:
    """Merge and commit each case."""
    rows = [row for chunk in chunks_of_rows(path) for row in chunk]
    session = _session(url)

    def run() -> None:
        for row in rows:
            session.merge(Case(**row))
            session.commit()

    return run


def merge_in_savepoints(url: str, path: Path) -> Callable[[], None]:
    """Merge each case in a savepoint of its own; commit a thousand of them."""
    chunks = chunks_of_rows(path)
    session = _session(url)

    def run() -> None:
        for rows in chunks:
            for row in rows:
                with session.begin_nested():
                    session.merge(Case(**row))
            session.commit()

    return run


def _session(url: str) -> Session:
    session = Session(create_engine(url))
    session.connection()
    session.commit()
    return session
