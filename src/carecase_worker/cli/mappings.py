"""Mappings named on the command line: a TOML file, one that is shipped, or the name of one that the service has."""

import tomllib
from pathlib import Path

from pydantic import ValidationError

from carecase_worker.client.row_files import AnyMapping, RowFile
from carecase_worker.client.sources import Source
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.episodes import NAME, EpisodeMapping
from carecase_worker.files.mapping import MappingMistakes, mapping_of
from carecase_worker.settings.files import FileSettings
from carecase_worker.settings.kinds import should_be
from carecase_worker.settings.places import nearest

MAPPING_HELP = f"TOML file with a mapping, or the name of one: the service's, or {NAME}"
_ROWS = (".csv", ".tsv", ".tab", ".psv", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".parquet")
_PACKED = (".gz", ".zst")


def row_file(source: Source, mapping: str | None, care_plan: int | None = None) -> RowFile | None:
    """Return a file of rows: by its name, or because it has a mapping; None for JSON. Raises BatchUnreadable."""
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
    """Read a mapping from a TOML file, which has its settings and nothing else. Raises BatchUnreadable."""
    try:
        tree = tomllib.loads(file.read_text("utf-8-sig"))
        return mapping_of(FileSettings.model_validate(tree))
    except OSError as error:
        raise BatchUnreadable(f"{file}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        mistakes = [_mistake(str(detail["loc"][0]), detail["msg"]) for detail in error.errors(include_url=False)]
    except MappingMistakes as error:
        mistakes = [f"{setting}: {text}" for setting, text in error.mistakes]
    except ValueError as error:  # of TOML, or of UTF-8
        mistakes = [f"is not TOML in UTF-8: {error}"]
    raise BatchUnreadable("\n".join(f"{file}: {mistake}" for mistake in dict.fromkeys(mistakes)))


def _mistake(setting: str, message: str) -> str:
    known = FileSettings.model_fields
    if setting not in known:
        return f"{setting}: no such setting{nearest(setting, known)}"
    own = message.removeprefix("Value error, ")
    return f"{setting}: {own if own != message else should_be(known[setting])}"
