"""Differences of a schema from the tables that this version needs, except for harmless ones.

Additions do no harm: tables, indexes, constraints, and columns that need no value from this service. Nor does widening:
a column that may be null now, a longer string.
"""

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, String

from carecase_worker.targets.tables import METADATA

_ADDED = frozenset({"remove_index", "remove_constraint", "remove_fk", "remove_table_comment", "modify_comment"})
"""Alembic's names for additions that this service did not make, and that take no part in writing."""

_VERBS = {"add": "lacks", "remove": "has", "modify": "has another"}
"""Predicates by the beginnings of Alembic's names, which say what would have to be done to the database."""


def faults_of(context: MigrationContext) -> Iterator[str]:
    """Yield in words each difference that this version cannot work with; additions and widening are left out."""
    context.opts.update(include_object=_is_ours)
    for found in compare_metadata(context, METADATA):
        for difference in found if isinstance(found, list) else [found]:
            if not _is_harmless(difference):
                yield _words(difference)


def _is_ours(_: object, name: str | None, kind: str, *__: object) -> bool:
    return kind != "table" or name in METADATA.tables


def _is_harmless(difference: tuple[Any, ...]) -> bool:
    match difference:
        case ("remove_column", _, _, Column() as column):
            return bool(column.nullable or column.server_default is not None)
        case ("modify_nullable", *_, is_nullable, _):
            return bool(is_nullable)
        case ("modify_type", *_, String(length=held), String(length=ours)):
            return held is None or (ours is not None and held >= ours)
        case _:
            return difference[0] in _ADDED


def _words(difference: tuple[Any, ...]) -> str:
    """Describe a difference: the schema lacks something, has something extra, or has it otherwise."""
    operation, _, thing = difference[0].partition("_")
    names = [getattr(part, "name", part) for part in difference[1:4]]
    return f"{_VERBS.get(operation, operation)} {thing} {'.'.join(name for name in names if isinstance(name, str))}"
