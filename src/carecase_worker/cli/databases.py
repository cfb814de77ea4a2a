"""`carecase db`: the schema of the target databases."""

from typing import Annotated

import typer

from carecase_worker.cli.configuration import Config, configured
from carecase_worker.cli.waiting import Timeout, deadline
from carecase_worker.errors import DeadlineExceeded, SettingsError, TargetFailure
from carecase_worker.settings.model import Settings
from carecase_worker.settings.urls import without_credentials
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema import lacks, upgrade
from carecase_worker.tenants import Tenant, tenants_of

Database = Annotated[str | None, typer.Option("--database", help="One target database; all of them if left out")]
_ADVICE = "check its url, and that it runs"


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    db = typer.Typer(help="The schema of the target databases", no_args_is_help=True)
    db.command("upgrade")(db_upgrade)
    db.command("check")(db_check)
    app.add_typer(db, name="db")


def db_upgrade(database: Database = None, config: Config = None, timeout: Timeout = 600.0) -> None:
    """Bring the schema of the target databases up to date. Each has --timeout seconds for that."""
    with configured(config) as settings:
        for tenant in _chosen(settings, database):
            try:
                with deadline(_answer_of(tenant), timeout):
                    upgrade(engine_for(tenant))
            except TargetFailure as failure:
                raise SettingsError(f"databases.{tenant.name}: {failure}; {_ADVICE}") from None
            typer.echo(f"{tenant.name}: up to date")


def db_check(database: Database = None, config: Config = None, timeout: Timeout = 30.0) -> None:
    """Say whether the schema of the target databases fits. Exit status 1 if one does not."""
    fits = True
    with configured(config) as settings:
        chosen = _chosen(settings, database)
    for tenant in chosen:
        try:
            with deadline(_answer_of(tenant), timeout):
                missing = lacks(engine_for(tenant))
        except TargetFailure as failure:
            missing = [f"{failure}; {_ADVICE}"]
        except DeadlineExceeded as error:
            missing = [str(error)]
        fits = fits and not missing
        for line in missing or ["fits"]:
            typer.echo(f"{tenant.name}: {line}")
    raise typer.Exit(0 if fits else 1)


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
