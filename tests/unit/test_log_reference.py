"""The reference of log lines, which names every event with its level and fields."""

import ast
from collections.abc import Iterator
from pathlib import Path

from carecase_worker.telemetry import ALLOWED

ROOT = Path(__file__).parent.parent.parent
_MORE = "…"
_OF_EACH, _OF_REQUESTS = (
    ("event", "level", "timestamp"),
    ("method", "route", "bytes", "bytes_sent", "trace_id", "dry_run"),
)
_ADDED_OTHERWISE = frozenset([*_OF_EACH, *_OF_REQUESTS, "where"])
"""Fields that no call names: `where` is that of an error that was not foreseen."""

Line = tuple[str, str, frozenset[str]]
"""An event, its level and its fields; `…` among them stands for fields of the chunk or request."""


def documented() -> list[Line]:
    """The lines of the reference."""
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in (ROOT / "docs/reference/log.md").read_text().splitlines()
        if row.startswith("| `")
    ]
    return [
        (event.strip("`"), level, frozenset(fields.replace(",", " ").replace("`", "").split()))
        for event, level, fields, *_ in rows
    ]


def logged() -> Iterator[Line]:
    """The lines that the code can log."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("_log"), attr=level), args=[ast.Constant(event)]):
                    yield str(event), level, frozenset(name for one in node.keywords for name in fields_of(one))
                case ast.Call(func=ast.Attribute(value=ast.Name("_log"))):
                    raise AssertionError(f"{path.name}:{node.lineno}: the event is no text")


def fields_of(keyword: ast.keyword) -> list[str]:
    """The fields that an argument of a call adds to the line."""
    match keyword:
        case ast.keyword(arg=str(name)):
            return [name]
        case ast.keyword(value=ast.IfExp(body=ast.Dict(keys=keys))):
            return [str(key.value) for key in keys if isinstance(key, ast.Constant)]
        case _:
            return [_MORE]


def test_it_names_every_line_with_its_level_and_fields_and_no_other() -> None:
    lines = documented()
    assert len(set(lines)) == len(lines)
    assert set(lines) == set(logged())


def added() -> Iterator[str]:
    """The fields that the code adds to the line of a request."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("add_log_fields"), keywords=given):
                    yield from (name for one in given for name in fields_of(one))


def test_every_field_of_a_line_is_allowed_and_no_other_is() -> None:
    named = {name for _, _, fields in documented() for name in fields}.union(added()) - {_MORE}
    assert named <= ALLOWED, "another one is left out of its line"
    assert ALLOWED - named == _ADDED_OTHERWISE
