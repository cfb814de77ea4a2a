"""Check of every target database at the start of a worker."""

from collections.abc import Mapping
from threading import Thread
from typing import assert_never

from carecase_worker.clock import monotonic
from carecase_worker.errors import SettingsError, TargetFailure
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.state import SchemaState, state
from carecase_worker.targets.tenants import Tenant

_REFUSED = {cause.value.name for cause in (Causes.VERSION, Causes.SESSION, Causes.POOLER, Causes.PARAMETER)}
"""Names of causes that do not resolve by waiting."""
_GRACE_S = 2


class _Look(Thread):
    """A check of one database, in a daemon thread, so that one that hangs does not block the process for ever."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(name=f"look at {tenant.name}", daemon=True)
        self._engine = engine_for(tenant)
        self.name_of_database = tenant.name
        self.found: SchemaState | TargetFailure | None = None

    def run(self) -> None:
        try:
            self.found = state(self._engine)
        except TargetFailure as failure:
            self.found = failure
        finally:
            self._engine.dispose()

    def remarks(self) -> list[str]:
        """Return remarks on the database, a line each; none if it is in order."""
        match self.found:
            case None:
                return [Causes.TIMEOUT.value.text]
            case TargetFailure():
                return [str(self.found)]
            case SchemaState():
                return self.found.schema_differences() or ([self.found.summary] if self.found.is_newer else [])
            case never:
                assert_never(never)


def look_at(tenants: Mapping[str, Tenant]) -> dict[str, str]:
    """Return a remark on each database that is away or whose schema is not this version's.

    All are checked in parallel, so that many that are away take no longer than one. Raises SettingsError for unusable
    URLs and unsupported servers.
    """
    if not tenants:
        return {}
    looks = _started(tenants)
    timeout = max(tenant.database.connects_within.total_seconds() for tenant in tenants.values()) + _GRACE_S
    deadline = monotonic() + timeout
    for look in looks:
        look.join(max(0.0, deadline - monotonic()))
    refused = [
        f"databases.{look.name_of_database}: {look.found}"
        for look in looks
        if isinstance(look.found, TargetFailure) and look.found.cause and look.found.cause.name in _REFUSED
    ]
    if refused:
        raise SettingsError("\n".join(refused))
    return {look.name_of_database: "; ".join(look.remarks()) for look in looks if look.remarks()}


def _started(tenants: Mapping[str, Tenant]) -> list[_Look]:
    looks, mistakes = [], []
    for tenant in tenants.values():
        try:
            looks.append(_Look(tenant))
        except SettingsError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    for look in looks:
        look.start()
    return looks
