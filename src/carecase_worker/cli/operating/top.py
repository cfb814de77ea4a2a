"""`carecase top`: a live view of the open work and the workers."""

import json
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from carecase_worker.cli.configuration import Config, noted, settings_nearby, sources_nearby
from carecase_worker.cli.operating.overview import document, screen
from carecase_worker.clock import SystemClock
from carecase_worker.errors import SettingsError, StoreUnavailable
from carecase_worker.settings.model import Settings
from carecase_worker.settings.urls.services import without_credentials
from carecase_worker.store.queries.overview import Overview, Overviews
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.presence import Presence

_TIMEOUT = timedelta(seconds=3)


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(top)


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once and exit")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print one JSON document")] = False,
    every: Annotated[float, typer.Option("--every", min=0.2, max=60, help="Seconds between updates")] = 1.0,
    config: Config = None,
) -> None:
    """Show the open work of each database, its circuit breaker, and the workers with their claimed chunks.

    Read-only. Exit status 2 if Redis is unreachable at the start; later, the last state stays on the screen until Redis
    is back. Ctrl-C or q to quit.
    """
    if as_json and not once:
        raise typer.BadParameter("requires --once", param_hint="--json")
    settings = settings_nearby(config)
    with noted(sources_nearby(config)):
        if not settings.databases:
            raise SettingsError("databases: there are none; configure one as [databases.NAME] with its url")
    with _looks(settings) as looks:
        first = looks.look()
        console = Console(highlight=False)
        if as_json:
            typer.echo(json.dumps(document(first)))
        elif once or not console.is_terminal:
            console.print(screen(first))
        else:
            _follow(console, looks, first, every)


class _Looks:
    """Source of overviews, with the live workers."""

    def __init__(self, overviews: Overviews, presence: Presence, where: str) -> None:
        self._overviews = overviews
        self._presence = presence
        self._where = where

    def look(self) -> Overview:
        """Read an overview. Raises StoreUnavailable, whose text names the Redis."""
        try:
            return self._overviews.read(self._presence.workers())
        except StoreUnavailable as error:
            raise StoreUnavailable(f"{error} ({self._where})") from None


@contextmanager
def _looks(settings: Settings) -> Iterator[_Looks]:
    where = without_credentials(settings.redis.url.get_secret_value())
    reader, client = Overviews(settings.redis, settings.databases, _TIMEOUT), StoreClient(settings.redis)
    with closing(reader), closing(client):
        yield _Looks(reader, Presence(client, SystemClock()), where)


def _follow(console: Console, looks: _Looks, first: Overview, every: float) -> None:
    """Update the screen until the user quits; then restore the terminal."""
    shown, fault = first, None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)  # so that the terminal is left as it was
    with _keys(), suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(shown, fault, "Ctrl-C or q to quit"), refresh=True)
            if _quits(every):
                return
            try:
                shown, fault = looks.look(), None
            except StoreUnavailable as error:
                fault = f"{error}."


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


@contextmanager
def _keys() -> Iterator[None]:
    """Read single keys without Enter and without echo, if there is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _quits(seconds: float) -> bool:
    """Wait; return whether q was pressed meanwhile."""
    keyboards = [sys.stdin] if sys.stdin.isatty() else []
    ready, _, _ = select.select(keyboards, [], [], seconds)
    return bool(ready) and sys.stdin.read(1) in ("q", "Q", "")
