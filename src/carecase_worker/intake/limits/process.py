"""State shared by all connections of a process: their number, and the log quota for unauthenticated requests."""

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
        """Make the state from the settings."""
        return cls(OpenConnections(settings.max_connections), LogQuota(settings.log_unknown_per_second))
