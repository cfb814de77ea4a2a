"""`carecase db`: the schema of the target databases."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from carecase_worker.cli.configuration import Config, noted, settings_nearby, sources_nearby, used
from carecase_worker.cli.ending import STATUS_FAULT
from carecase_worker.cli.waiting import Timeout, deadline
from carecase_worker.errors import DeadlineExceeded, SchemaRefused, SettingsError, TargetFailure
from carecase_worker.settings.model import Settings
from carecase_worker.settings.urls.services import without_credentials
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.drafting import draft_revision
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import state
from carecase_worker.targets.tenants import Tenant, tenants_of

Database = Annotated[str | None, typer.Option("--database", help="One target database; default: all")]
Report = tuple[list[str], bool]
"""The lines to print about one database, and whether it is in order."""
_CHANGED = "its revision is the newest, so its tables were changed by hand: undo the changes that are named"


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    db = typer.Typer(help="The schema of the target databases", no_args_is_help=True)
    db.command("upgrade")(db_upgrade)
    db.command("check")(db_check)
    db.command("current")(db_current)
    db.command("revision", hidden=True)(db_revision)
    app.add_typer(db, name="db")


def db_upgrade(database: Database = None, config: Config = None, timeout: Timeout = 600.0) -> None:
    """Bring the schema of the target databases up to date, each within --timeout. Exit status 1 if one fails."""

    def upgraded(tenant: Tenant) -> Report:
        engine = engine_for(tenant)
        upgrade(engine)
        found = state(engine)
        missing = found.schema_differences()
        if not missing:
            return ["up to date"], True
        return missing if found.is_newer else [*missing, _CHANGED], False

    _report_each(database, config, timeout, upgraded)


def db_check(database: Database = None, config: Config = None, timeout: Timeout = 30.0) -> None:
    """Check whether the schemas of the target databases fit this version. Exit status 1 if one does not."""

    def checked(tenant: Tenant) -> Report:
        found = state(engine_for(tenant))
        missing = found.schema_differences()
        return missing or [found.summary], not missing

    _report_each(database, config, timeout, checked)


def db_current(database: Database = None, config: Config = None, timeout: Timeout = 30.0) -> None:
    """Show the schema revisions of each target database and of this version."""

    def current(tenant: Tenant) -> Report:
        found = state(engine_for(tenant))
        newer = ", newer" if found.is_newer else ""
        return [f"database at revision {found.revision}{newer}, this version at {found.wanted}"], True

    _report_each(database, config, timeout, current)


def db_revision(message: Annotated[str, typer.Argument(help="A sentence about the change")]) -> None:
    """Write a migration from the newest revision to the current tables. For developers of this program."""
    drafted = draft_revision(message)
    typer.echo(f"wrote {drafted}: read it, and run make check" if drafted else "the newest revision lacks nothing")


def _report_each(
    database: str | None, config: Path | None, timeout: float, examine: Callable[[Tenant], Report]
) -> None:
    """Call `examine` with each chosen database and print its lines; a failure does not stop the others."""
    good = True
    settings = settings_nearby(config)
    with noted(sources_nearby(config)):
        chosen = _chosen(settings, database)
    for tenant in chosen:
        try:
            with deadline(_answer_of(tenant), timeout):
                lines, fine = examine(tenant)
        except (TargetFailure, SchemaRefused, DeadlineExceeded) as failure:
            lines, fine = [str(failure)], False
        good = good and fine
        for line in lines:
            typer.echo(f"{tenant.name}: {line}")
    if not good:
        typer.echo(used(config), err=True)
    raise typer.Exit(0 if good else STATUS_FAULT)


def _answer_of(tenant: Tenant) -> str:
    return f"the answer of databases.{tenant.name} ({without_credentials(tenant.database.url.get_secret_value())})"


def _chosen(settings: Settings, database: str | None) -> list[Tenant]:
    tenants = tenants_of(settings.databases)
    if not tenants:
        raise SettingsError("databases: there are none; configure one as [databases.NAME] with its url")
    if database is None:
        return list(tenants.values())
    if database not in tenants:
        raise SettingsError(f"databases.{database}: is not configured (there are: {', '.join(tenants)})")
    return [tenants[database]]
