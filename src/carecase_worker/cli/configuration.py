"""The option --config, and the configuration that a command finds without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from carecase_worker.client.access import NEARBY
from carecase_worker.embedded.stack import running_stack
from carecase_worker.errors import CareCaseError, StackError
from carecase_worker.settings.loading import load, named_file, settings_variables, sources
from carecase_worker.settings.model import Settings

Config = Annotated[Path | None, typer.Option("--config", help="TOML file (CARECASE_CONFIG)")]


@contextmanager
def configured(config: Path | None) -> Iterator[Settings]:
    """Load the configuration; its errors and those of the block get a note on where the settings come from."""
    with noted(sources(config)):
        yield load(config)


def settings_nearby(config: Path | None) -> Settings:
    """Load the configuration; if there is none, that of the `carecase up` in this directory.

    It is that one, too, if `config` is the file that it was started with: servers and secrets are only known there.
    Raises SettingsError, StackError.
    """
    stack_file = _stack_file(config)
    with noted(sources_nearby(config)):
        if stack_file is None:
            return load(config)
        stack = running_stack(stack_file)
        return load(stack.config, {**settings_variables(), **stack.environment()})


def sources_nearby(config: Path | None) -> str:
    """Describe the sources that `settings_nearby` reads."""
    stack_file = _stack_file(config)
    return sources(config) if stack_file is None else f"{stack_file}, of carecase up"


def _stack_file(config: Path | None) -> Path | None:
    """Find the stack.json of the `carecase up` in this directory; None if something else is configured."""
    stack_file = next((path for path in NEARBY if path.exists()), None)
    if config is not None:
        return stack_file if stack_file and _started_with(stack_file) == config.resolve() else None
    return None if named_file() or settings_variables() else stack_file


def _started_with(stack_file: Path) -> Path | None:
    """Return the file of settings that a system was started with; None also if that cannot be read."""
    try:
        return running_stack(stack_file).config
    except StackError:
        return None


def used(config: Path | None) -> str:
    """Describe, as a sentence, the sources of a command's settings."""
    return _sentence(sources_nearby(config))


@contextmanager
def noted(used: str) -> Iterator[None]:
    """Add a note on the configuration in use to every CareCaseError of the block."""
    try:
        yield
    except CareCaseError as error:
        error.add_note(_sentence(used))
        raise


def _sentence(used: str) -> str:
    return f"Configuration used: {used}. The working directory is {Path.cwd()}."
