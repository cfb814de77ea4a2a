"""A tenant: one target database, by the name that clients send in `vbasoftware-database`."""

from collections.abc import Mapping
from dataclasses import dataclass

from carecase_worker.settings.model import DatabaseSettings


@dataclass(frozen=True, slots=True)
class Tenant:
    """A target database and its connection settings."""

    name: str
    database: DatabaseSettings


def tenants_of(databases: Mapping[str, DatabaseSettings]) -> dict[str, Tenant]:
    """Return every configured tenant by its name."""
    return {name: Tenant(name, database) for name, database in databases.items()}
