"""The option that names the configuration."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; CARECASE_CONFIG names one, too")]
