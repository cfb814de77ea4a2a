"""Mappings on the command line: a TOML file, a built-in one, or the name of one of the service's."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from carecase_worker.client.files.sources import Source
from carecase_worker.client.row_files import AnyMapping, RowFile
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.episodes import NAME, EpisodeMapping
from carecase_worker.files.mapping import MappingMistakes, mapping_of
from carecase_worker.settings.kinds import should_be
from carecase_worker.settings.places import nearest
from carecase_worker.settings.sections.files import FileSettings

MAPPING_HELP = f"TOML file with a mapping, or the name of one of the service's, or {NAME}"
_ROWS = (".csv", ".tsv", ".tab", ".psv", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".parquet")
_PACKED = (".gz", ".zst")


def row_file(source: Source, mapping: str | None, care_plan: int | None = None) -> RowFile | None:
    """Return a file of rows, recognised by its name or a given mapping; None for JSON. Raises BatchUnreadable."""
    if mapping is None:
        return RowFile(source) if isinstance(source, Path) and _has_rows(source) else None
    if mapping == NAME:
        return RowFile(source, EpisodeMapping().of_care_plan(care_plan))
    if mapping.endswith(".toml"):
        return RowFile(source, read_mapping(Path(mapping)))
    return RowFile(source, mapping)


def _has_rows(file: Path) -> bool:
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() not in _PACKED]
    return bool(suffixes) and suffixes[-1] in _ROWS


def read_mapping(file: Path) -> AnyMapping:
    """Read a mapping from a TOML file that has only its settings. Raises BatchUnreadable."""
    return _mapping_of(_tree(file), str(file))


def configured_mapping(config: Path, name: str) -> AnyMapping:
    """Read a mapping by name from the service's configuration. Raises BatchUnreadable."""
    clients = _tree(config).get("clients")
    found: dict[str, Any] = {}
    for client, settings in clients.items() if isinstance(clients, dict) else ():
        files = settings.get("files") if isinstance(settings, dict) else None
        if isinstance(files, dict) and name in files:
            found[f"{config}: clients.{client}.files.{name}"] = files[name]
    if not found:
        raise BatchUnreadable(f"{config}: no client has a mapping {name}. Give a mapping as a TOML file, or its name.")
    if len(found) > 1:
        raise BatchUnreadable(f"{config}: several clients have a mapping {name}. Give it as a TOML file of its own.")
    ((place, tree),) = found.items()
    return _mapping_of(tree, place)


def _tree(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise BatchUnreadable(
            f"{file}: cannot be read ({error.strerror}). Check its name, and that you may read it."
        ) from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise BatchUnreadable(f"{file}: is not TOML in UTF-8: {error}") from None


def _mapping_of(tree: object, place: str) -> AnyMapping:
    try:
        return mapping_of(FileSettings.model_validate(tree))
    except ValidationError as error:
        details = error.errors(include_url=False)
        mistakes = [_mistake(str((*detail["loc"], "columns")[0]), detail["msg"]) for detail in details]
    except MappingMistakes as error:
        mistakes = [f"{setting}: {text}" for setting, text in error.mistakes]
    raise BatchUnreadable("\n".join(f"{place}: {mistake}" for mistake in dict.fromkeys(mistakes)))


def _mistake(setting: str, message: str) -> str:
    known = FileSettings.model_fields
    if setting not in known:
        return f"{setting}: no such setting{nearest(setting, known)}"
    own = message.removeprefix("Value error, ")
    return f"{setting}: {own if own != message else should_be(known[setting])}"
