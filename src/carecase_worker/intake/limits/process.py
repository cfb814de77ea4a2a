"""State that all connections of a process share: their number, and the log quota for unknown callers."""

from dataclasses import dataclass

from carecase_worker.intake.limits.log_quota import LogQuota
from carecase_worker.intake.limits.open_connections import OpenConnections
from carecase_worker.settings.sections.intake import IntakeSettings


@dataclass(frozen=True, slots=True)
class Shared:
    """The open connections and the log quota."""

    connections: OpenConnections
    quota: LogQuota

    @classmethod
    def of(cls, settings: IntakeSettings) -> "Shared":
        """Make the state that the settings describe."""
        return cls(OpenConnections(settings.max_connections), LogQuota(settings.log_unknown_per_second))
