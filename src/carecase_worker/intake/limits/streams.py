"""Limits of open event streams, in total and per client."""

from datetime import timedelta

from carecase_worker.intake.limits.places import Places
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.telemetry import MetricSample

_OPEN = "Open event streams of a client"
_REFUSED = "Event streams refused because too many were open: of the client, or of all"


class Streams(Places):
    """The open streams of a process; each also takes a place among the requests in progress."""

    OF_CLIENT = "This client has too many event streams open. Close some of them first."
    OF_ALL = "Too many event streams are open at the moment. Poll the job, or connect again later."
    LATER = timedelta(seconds=5)
    TAKEN = MetricSample("carecase_event_streams", _OPEN, 0, {})
    REFUSED = MetricSample("carecase_event_streams_refused", _REFUSED, 0, {}, counter=True)

    @classmethod
    def of(cls, settings: IntakeSettings) -> "Streams":
        """Make the bounds that are configured."""
        return cls(settings.max_event_streams, settings.max_event_streams_per_client)
