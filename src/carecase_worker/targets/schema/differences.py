"""Differences of a schema from the tables that this version needs, except for harmless ones.

Additions are harmless: tables, indexes, constraints, and columns that need no value from this service. So is widening:
a column that became nullable, a longer string.
"""

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, String

from carecase_worker.targets.tables import METADATA

_ADDED = frozenset({"remove_index", "remove_constraint", "remove_fk", "remove_table_comment", "modify_comment"})
"""Alembic's names for additions not made by this service that do not affect writing."""

_VERBS = {"add": "lacks", "remove": "has", "modify": "has another"}
"""Predicates by prefix of Alembic's names of the operations that the database would need."""


def faults_of(context: MigrationContext) -> Iterator[str]:
    """Yield a description of each difference that this version cannot work with, without additions and widening."""
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
    """Describe a difference: something is missing, extra or different."""
    operation, _, thing = difference[0].partition("_")
    names = [getattr(part, "name", part) for part in difference[1:4]]
    return f"{_VERBS.get(operation, operation)} {thing} {'.'.join(name for name in names if isinstance(name, str))}"
