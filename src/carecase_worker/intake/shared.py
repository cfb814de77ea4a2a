"""Places for connections, and the quota of the log for callers that are not known: all connections share them."""

from dataclasses import dataclass

from carecase_worker.intake.log_quota import LogQuota
from carecase_worker.intake.open_connections import OpenConnections
from carecase_worker.settings.model import IntakeSettings


@dataclass(frozen=True, slots=True)
class Shared:
    """The places and the quota."""

    connections: OpenConnections
    quota: LogQuota

    @classmethod
    def of(cls, settings: IntakeSettings) -> "Shared":
        """The places and the quota that are configured."""
        return cls(OpenConnections(settings.max_connections), LogQuota(settings.log_unknown_per_second))
