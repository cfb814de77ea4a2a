"""`carecase keys`: API keys, and the data keys of jobs."""

import hashlib
import re
import secrets
from collections import Counter
from typing import Annotated

import msgspec
import typer

from carecase_worker.batches.encryption import Seals
from carecase_worker.cli.configuration import Config, noted, settings_nearby, sources_nearby
from carecase_worker.cli.connection import Json
from carecase_worker.cli.ending import STATUS_FAULT
from carecase_worker.errors import SettingsError
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.rewrapping import Rewrapped, Rewrapping


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    keys = typer.Typer(help="API keys, and the data keys of jobs", no_args_is_help=True)
    keys.command("new")(keys_new)
    keys.command("rewrap")(keys_rewrap)
    app.add_typer(keys, name="keys")


def keys_new(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="The client that will get the key")],
    as_json: Json = False,
) -> None:
    """Generate an API key, and show the lines for the configuration."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", client):
        raise SettingsError(f"clients.{client}: a name has letters, digits, _ and - only, 64 at most")
    key = f"cck_{secrets.token_urlsafe(24)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    if as_json:
        typer.echo(msgspec.json.encode({"client": client, "apiKey": key, "apiKeySha256": digest}).decode())
        return
    typer.echo(f"Give this to the client; it is not stored anywhere:\n  {key}\n")
    typer.echo(f'Put this into the configuration:\n  [clients.{client}]\n  api_key_sha256 = ["{digest}"]')
    typer.echo("  databases = []  # the databases it may use")
    typer.echo(f"Then its bearer tokens come from: carecase token new --client {client}")


def keys_rewrap(config: Config = None) -> None:
    """Wrap the data keys of all jobs with the first of encryption.keys. Exit status 1 if some cannot be opened.

    All jobs are those of this Redis, also of databases that the configuration does not name.
    """
    settings = settings_nearby(config)
    with noted(sources_nearby(config)):
        keys = settings.encryption.by_id
        if not keys:
            raise SettingsError("encryption.keys: there are none, so no job has a data key")
        client = StoreClient(settings.redis)
        rewrapping = Rewrapping(client, JobStore(client, settings.jobs), Seals(keys))
        databases = rewrapping.databases()
        results = Counter(map(rewrapping.rewrap, set(rewrapping.jobs(databases))))
    wrapped, fresh = results[Rewrapped.WRAPPED], results[Rewrapped.FRESH]
    typer.echo(f"databases with jobs: {', '.join(databases) or 'none'}")
    typer.echo(f"{wrapped} wrapped with the key {next(iter(keys))}, {fresh} needed no change")
    if lost := results[Rewrapped.LOST]:
        typer.echo(f"{lost} cannot be opened with the configured keys: keep the old keys")
        raise typer.Exit(STATUS_FAULT)
