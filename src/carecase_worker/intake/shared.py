"""Places for connections, and the quota of the log for callers that are not known: all connections share them."""

from dataclasses import dataclass, field

from carecase_worker.intake.log_quota import LogQuota
from carecase_worker.intake.open_connections import OpenConnections
from carecase_worker.settings.model import IntakeSettings

_READ_BYTES = 32 << 10
"""As much as is read at a time: in chunks of one byte, it keeps the event loop for a millisecond."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The places and the quota, and where what has come is read into."""

    connections: OpenConnections
    quota: LogQuota
    read: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ_BYTES)))

    @classmethod
    def of(cls, settings: IntakeSettings) -> "Shared":
        """The places and the quota that are configured."""
        return cls(OpenConnections(settings.max_connections), LogQuota(settings.log_unknown_per_second))
