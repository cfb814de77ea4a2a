"""The `carecase` command and its groups."""

import gc
import importlib
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from carecase_worker.cli.arguments import hide_credentials
from carecase_worker.cli.ending import ended
from carecase_worker.errors import NotInstalled
from carecase_worker.version import VERSION

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "serving.up": ("up",),
    "serving.intake": ("intake",),
    "serving.worker": ("worker",),
    "operating.workers": ("workers",),
    "operating.top": ("top",),
    "serving.flower": ("flower",),
    "operating.databases": ("db",),
    "operating.keys": ("keys",),
    "operating.tokens": ("token",),
    "operating.audit": ("audit",),
    "operating.webhooks": ("webhooks",),
    "operating.doctor": ("doctor",),
    "sending.environment": ("env",),
    "sending.batches": ("submit", "generate"),
    "sending.files": ("files", "drop"),
    "sending.mending": ("failed", "resend"),
    "sending.jobs": ("status", "events", "result", "cancel", "retry", "jobs"),
}
"""Modules with a function `add_commands`, each with the commands that it adds."""


class _Commands(TyperGroup):
    """A lazy group: a command's module is imported when called, so that clients import no server libraries."""

    def list_commands(self, _: Any) -> list[str]:
        """List the installed commands in the order of the table; the client's package lacks the roles."""
        return [command for module, commands in _GROUPS.items() if _is_installed(module) for command in commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a name; None if there is none."""
        for module, commands in _GROUPS.items():
            if cmd_name in commands:
                group = typer.Typer(rich_markup_mode=_markup_mode())
                group.callback()(_no_options)  # so that a single command keeps its name
                _load(module, cmd_name).add_commands(group)
                return typer.main.get_group(group).get_command(ctx, cmd_name)
        return None


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"carecase {VERSION}")
        raise typer.Exit


def _markup_mode() -> Literal["rich"] | None:
    """Choose rich output for a terminal, plain lines for a file or another program."""
    return "rich" if sys.stdout.isatty() and sys.stderr.isatty() else None


def _path(module: str) -> str:
    return f"carecase_worker.cli.{module}"


def _is_installed(module: str) -> bool:
    """Return whether a module's package is installed; carecase-client has only the commands of senders."""
    return find_spec(_path(module).rpartition(".")[0]) is not None


def _load(module: str, command: str) -> Any:
    """Import the module of a command, and exclude its objects from garbage collection. Raises NotInstalled."""
    whole = "'carecase-worker[embedded]'" if command == "up" else "carecase-worker"
    if not _is_installed(module):
        raise NotInstalled(
            f"carecase {command} is not in carecase-client. In an environment without it, run: pip install {whole}"
        )
    gc.disable()
    try:
        return importlib.import_module(_path(module))
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"carecase {command} needs {error.name}, which is not installed here. Run: pip install {whole}"
        ) from None
    finally:
        gc.freeze()
        gc.enable()


def _no_options() -> None:
    """Batch ingestion of CareCases: run the service, send batches, see their results."""


def _root_options(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Show the version and exit")
    ] = False,
) -> None:
    """Batch ingestion of CareCases: run the service, send batches, see their results."""


def run() -> None:
    """Run the command line and exit with its status."""
    hide_credentials()
    sys.exit(ended(_call))


def _call() -> None:
    app = typer.Typer(
        cls=_Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=_markup_mode(),
    )
    app.callback()(_root_options)
    app(prog_name="carecase")
