"""The option that names the configuration, and the configuration that a command finds by itself."""

from pathlib import Path
from typing import Annotated

import typer

from carecase_worker.embedded.stack import STACK_FILE, running_stack
from carecase_worker.settings.loading import load, settings_variables
from carecase_worker.settings.model import Settings

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; CARECASE_CONFIG names one, too")]

_NEARBY = (Path(STACK_FILE), Path(".carecase") / STACK_FILE)


def settings_nearby(config: Path | None) -> Settings:
    """Load the configuration; if there is none, that of the `carecase up` in this directory. Raises SettingsError."""
    stack_file = next((path for path in _NEARBY if path.exists()), None)
    if config is None and not settings_variables() and stack_file is not None:
        return load(None, running_stack(stack_file).environment())
    return load(config)
