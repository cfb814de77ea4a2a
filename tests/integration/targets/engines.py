"""An engine of a database whose schema is up to date."""

from sqlalchemy import Engine

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.tenants import Tenant


def engine_at(url: str) -> Engine:
    engine = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    upgrade(engine)
    return engine
