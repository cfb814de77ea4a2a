"""Periodic check of the target databases' schemas for the metrics, also of databases without jobs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from carecase_worker.errors import TargetFailure
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.state import require_fitting
from carecase_worker.targets.tenants import Tenant
from carecase_worker.telemetry import MetricSample

_BEHIND = "1 if the schema of a database does not fit this worker's version; absent while the database does not respond"
_SCHEMA = (Causes.SCHEMA.value, Causes.NO_SCHEMA.value)


@dataclass(frozen=True, slots=True)
class SchemaWatch:
    """The databases whose schema was checked, without those that do not respond."""

    tenants: Mapping[str, Tenant]
    behind: dict[str, bool] = field(default_factory=dict)

    def once(self) -> None:
        """Check the schema of each database."""
        for name, tenant in self.tenants.items():
            engine = engine_for(tenant)
            try:
                require_fitting(engine)
                self.behind[name] = False
            except TargetFailure as failure:
                if failure.cause in _SCHEMA:
                    self.behind[name] = True
                else:
                    self.behind.pop(name, None)
            finally:
                engine.dispose()

    def __call__(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        for name, is_behind in list(self.behind.items()):  # changed by another thread
            yield MetricSample("carecase_schema_behind", _BEHIND, int(is_behind), {"database": name})
