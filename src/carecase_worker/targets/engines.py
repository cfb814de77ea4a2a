"""A tenant's engine: one connection for each process, and deadlines on everything."""

from typing import Any

from sqlalchemy import URL, Engine, ExceptionContext, create_engine, event, make_url

from carecase_worker.errors import SettingsError
from carecase_worker.targets.dialects.registry import dialect_of_url
from carecase_worker.targets.tenants import Tenant


def engine_for(tenant: Tenant) -> Engine:
    """Return an engine for a tenant; it connects when it is first used. Raises SettingsError as `url_of` does."""
    url = url_of(tenant)
    connecting = dialect_of_url(url).connecting
    usual: dict[str, Any] = {"hide_parameters": True, "pool_size": 1, "max_overflow": 0, "pool_timeout": 3}
    engine = create_engine(url, **usual, **connecting.arguments(tenant.database, url))
    event.listen(engine, "handle_error", _interrupted)
    connecting.set_up(engine, tenant.database)
    return engine


def url_of(tenant: Tenant) -> URL:
    """Return the URL of a tenant with its driver and its password.

    Raises SettingsError for parameters that the driver's library lacks.
    """
    url = make_url(tenant.database.url.get_secret_value())
    connecting = dialect_of_url(url).connecting
    password = tenant.database.password
    if password is not None:
        url = url.set(password=password.get_secret_value())
    unknown = connecting.unknown_parameters(url)
    if unknown:
        found = ", ".join(unknown)
        raise SettingsError(
            f"databases.{tenant.name}.url: has {found}, which {connecting.library} has no parameters for; remove it"
        )
    return url.set(drivername=connecting.driver)


def _interrupted(context: ExceptionContext) -> None:
    """Discard a connection whose statement was ended by the attempt's deadline, not by a driver error.

    The connection still waits for a response, and a rollback on it would raise another error that hides this one.
    """
    if not isinstance(context.original_exception, context.dialect.loaded_dbapi.Error):
        context.is_disconnect = True
