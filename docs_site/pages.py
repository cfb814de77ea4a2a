"""Pages that are made of the code: settings, commands, the HTTP API, the client's API."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any
from unittest.mock import patch

import click
import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from carecase_worker import cli
from carecase_worker.errors import ClientError
from carecase_worker.intake.app import create_app
from carecase_worker.settings.model import DatabaseSettings, Settings
from carecase_worker.settings.sections.access import ClientSettings
from carecase_worker.settings.sections.files import FileSettings
from carecase_worker.settings.sections.section import Section
from carecase_worker.settings.sections.webhooks import WebhookSettings
from carecase_worker.store.redis.client import StoreClient

_NAMED: Mapping[str, type[Section]] = {
    "databases": DatabaseSettings,
    "clients": ClientSettings,
    "webhooks": WebhookSettings,
}
"""Sections of which there are several, each with a name."""
_CLIENT = """# Client API

The public classes and functions of `carecase_worker.client`, from their docstrings.
How they are used: [the Python client](../client.md).

## Connecting

::: carecase_worker.client.api
    options:
      show_root_heading: false
      show_root_toc_entry: false
      members: [connect, connect_async]

## Blocking

::: carecase_worker.client.blocking.CareCases

## For asyncio

::: carecase_worker.client.asynchronous.AsyncCareCases

## Documents

::: carecase_worker.client.documents.Job

::: carecase_worker.client.documents.ItemResult

::: carecase_worker.client.events.JobEvent

::: carecase_worker.client.events.OutcomeRun

## Errors

::: carecase_worker.errors.ClientError
"""


def settings_page() -> str:
    """Every setting: name, variable, default, meaning."""
    lines = [
        "# Every setting",
        "",
        "From the code. How a configuration is written and checked, and what must hold between settings:"
        " [configuration](../configuration.md); which to change when: [tune](../how-to/tune.md).",
    ]
    for header, section in _sections():
        lines += ["", f"## `[{header}]`", "", inspect.getdoc(section) or ""]
        rows = []
        for leaf, setting in section.model_fields.items():
            told = setting.alias or leaf
            variable = "_".join(("CARECASE", *header.split("."), told)).upper()
            rows.append((f"`{told}`<br>`{variable}`", _default(setting), setting.description))
        lines += _table(("setting", "default", "meaning"), rows)
    return "\n".join(lines) + "\n"


def _sections() -> Iterator[tuple[str, type[Section]]]:
    """The header and the model of each section; a client's mappings come after the clients."""
    for name, field in Settings.model_fields.items():
        yield (f"{name}.NAME", _NAMED[name]) if name in _NAMED else (name, type(field.default))
        if name == "clients":
            yield "clients.NAME.files.MAPPING", FileSettings


def _default(setting: FieldInfo) -> str:
    value = setting.default
    if setting.is_required():
        return "required"
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():g}`"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == ():
        return "–"
    return f"`{json.dumps(value)}`"


def commands_page() -> str:
    """Every command with its help."""
    lines = [
        "# Command line",
        "",
        "What `carecase COMMAND --help` says. `carecase-client` has those of a sender: `submit`, `generate`, `status`,"
        " `result`, `cancel`, `retry`, `jobs`. Exit statuses:"
        " [configuration](../configuration.md#timeouts-and-exit-statuses-of-commands).",
    ]
    for name, command in sorted(_commands()):
        help_text = command.get_help(click.Context(command, info_name=name, terminal_width=100, max_content_width=100))
        lines += ["", f"## `{name}`", "", "```text", help_text.strip(), "```"]
    return "\n".join(lines) + "\n"


def _commands() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.walk_packages(cli.__path__, f"{cli.__name__}."):
        add_commands = getattr(importlib.import_module(module.name), "add_commands", None)
        if add_commands is not None:
            group = typer.Typer(rich_markup_mode=None)
            group.callback()(lambda: None)
            add_commands(group)
            yield from _leaves("carecase", typer.main.get_group(group))


def _leaves(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(f"{path} {name}", command)
        elif not command.hidden:
            yield f"{path} {name}", command


@cache
def description() -> dict[str, Any]:
    """The description that an intake serves. It is the same whatever Redis holds, so none is asked."""
    with patch.object(StoreClient, "check"):
        return create_app(Settings.model_validate({"jwt": {"secret": "a secret that signs nothing at all"}})).openapi()


def client_page() -> str:
    """The client's API, for mkdocstrings to fill in."""
    return _CLIENT + "".join(
        f"\n::: carecase_worker.errors.{error.__name__}\n" for error in ClientError.__subclasses__()
    )


def description_file() -> str:
    """The published description as it is served."""
    return json.dumps(description(), indent=1, ensure_ascii=False)


def http_page() -> str:
    """The published description, as a page."""
    described = description()
    lines = [
        "# HTTP API",
        "",
        "The description that every intake serves at `/openapi.json` ([the file](openapi.json)) and shows at `/docs`."
        " The rules behind it: [the contract](../contract.md).",
    ]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            lines += [
                "",
                f"## `{method.upper()} {path}`",
                "",
                f"**{operation['summary']}** (`{operation['operationId']}`)",
            ]
            lines += ["", operation["description"], *_parameters(operation), *_answers(operation)]
    lines += ["", "## Schemas"]
    for name, schema in described["components"]["schemas"].items():
        lines += ["", f"### {name}", "", schema.get("description", ""), *_members(schema)]
    return "\n".join(lines) + "\n"


def _parameters(operation: Mapping[str, Any]) -> list[str]:
    parameters = operation.get("parameters", ())
    if not parameters:
        return []
    rows = [
        (f"`{each['name']}`", each["in"] + (", required" if each.get("required") else ""), each.get("description"))
        for each in parameters
    ]
    return _table(("parameter", "in", "meaning"), rows)


def _answers(operation: Mapping[str, Any]) -> list[str]:
    rows = [
        (status, answer["description"], ", ".join(f"`{name}`" for name in answer.get("headers", ())))
        for status, answer in sorted(operation["responses"].items())
    ]
    return _table(("status", "when", "headers"), rows)


def _members(schema: Mapping[str, Any]) -> list[str]:
    members, required = schema.get("properties", {}), schema.get("required", ())
    rows = [
        (f"`{name}`", _type(member) + (", required" if name in required else ""), member.get("description"))
        for name, member in members.items()
    ]
    return _table(("member", "type", "meaning"), rows) if rows else []


def _type(member: Mapping[str, Any]) -> str:
    if "$ref" in member:
        name = member["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in member:
            return " or ".join(_type(each) for each in member[several])
    if "const" in member:
        return f"`{json.dumps(member['const'])}`"
    kind = member.get("type", "any")
    told = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if told == "array":
        return f"array of {_type(member.get('items', {}))}"
    if member.get("enum"):
        return ", ".join(f"`{json.dumps(each)}`" for each in member["enum"])
    bounds = [f"{said} {member[name]}" for name, said in (("maxLength", "at most"),) if name in member]
    return " ".join([told, *([f"({member['format']})"] if "format" in member else []), *bounds])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str | None]]) -> list[str]:
    return ["", *(f"| {' | '.join(map(_cell, row))} |" for row in (heads, ["---"] * len(heads), *rows))]


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


MADE: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/http.md": http_page,
    "reference/openapi.json": description_file,
    "reference/client.md": client_page,
}
"""Pages and files by where they go."""
