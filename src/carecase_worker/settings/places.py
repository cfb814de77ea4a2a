"""Places of settings: section, name of a named section, setting; and the environment's name for each."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from carecase_worker.settings.kinds import kind_of
from carecase_worker.settings.model import DatabaseSettings, Settings
from carecase_worker.settings.sections.access import ClientSettings
from carecase_worker.settings.sections.section import Section
from carecase_worker.settings.sections.webhooks import WebhookSettings

PREFIX = "CARECASE_"
LISTS = frozenset(
    {
        "databases",
        "api_key_sha256",
        "cors_origins",
        "algorithms",
        "trusted_proxies",
        "events",
        "private_networks",
        "scopes",
    }
)
"""The settings that are lists; comma-separated in the environment."""

NAMED: dict[str, type[Section]] = {
    "databases": DatabaseSettings,
    "clients": ClientSettings,
    "webhooks": WebhookSettings,
}
PLAIN: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}

Place = tuple[str, ...]
"""The place of a setting: section, name of a named section, setting."""


def setting_names() -> Iterator[tuple[str, str, str]]:
    """Yield each setting: its section (`databases.<name>` for the named ones), its name, its description."""
    for section, model in PLAIN.items():
        for leaf, text in leaves_of(model):
            yield section, leaf, text
    for section, model in NAMED.items():
        for leaf, text in leaves_of(model):
            yield f"{section}.<name>", leaf, text


def leaves_of(model: type[Section]) -> Iterator[tuple[str, str]]:
    """Yield the settings of a section: name and description."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field.description or ""


def secret_leaves(model: type[Section]) -> set[str]:
    """Return the settings of a section that are secrets."""
    return {name for name, field in model.model_fields.items() if kind_of(field)[0] is SecretStr}


def sections(tree: Mapping[str, Any]) -> Iterator[tuple[Place, type[Section], Any]]:
    """Yield each section of a tree: its place, its model, its content."""
    for section, model in PLAIN.items():
        yield (section,), model, tree.get(section, {})
    for section, model in NAMED.items():
        table = tree.get(section, {})
        for name, values in table.items() if isinstance(table, dict) else ():
            yield (section, name), model, values


def variable_of(place: Place) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + "_".join(re.sub(r"\W", "_", part, flags=re.ASCII) for part in place).upper()


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known word nearest to another; empty if none is near."""
    close = closest(word, known)
    return f"; did you mean {close}?" if close else ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to another; None if none is near."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)
