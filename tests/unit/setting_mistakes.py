"""Texts by which settings are refused, and the mistakes that are found in a file."""

from pathlib import Path

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load

WHOLE, SECONDS = "must be a whole number from", "must be a number of seconds from 0.001 to 315360000"
DIGESTS = "must be SHA-256 digests, each of 64 digits and letters a to f, as printed by carecase keys new"


def mistakes(tmp_path: Path, toml: str = "", **variables: str) -> list[str]:
    """The lines of a configuration's mistakes; none if it is taken."""
    file = tmp_path / "carecase.toml"
    file.write_text(toml)
    try:
        load(file, {f"CARECASE_{name}": value for name, value in variables.items()})
    except SettingsError as error:
        return str(error).splitlines()
    return []
