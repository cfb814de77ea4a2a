"""Limits of concurrent requests of authenticated callers, in total and per client."""

from datetime import timedelta

from carecase_worker.intake.limits.places import Places
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.telemetry import MetricSample

_IN_PROGRESS = "Requests of a client in progress, including long polls"
_REFUSED = "Requests refused because too many were in progress: of the client, or of all"


class InProgress(Places):
    """The requests in progress, including long polls, uploads and slowly read results."""

    OF_CLIENT = "This client has too many requests at once. Let some of them end first."
    OF_ALL = "Too many requests are in progress at the moment. Send the request again later."
    LATER = timedelta(seconds=1)
    TAKEN = MetricSample("carecase_requests_in_progress", _IN_PROGRESS, 0, {})
    REFUSED = MetricSample("carecase_requests_refused", _REFUSED, 0, {}, counter=True)

    @classmethod
    def of(cls, settings: IntakeSettings) -> "InProgress":
        """Make the bounds that are configured."""
        return cls(settings.max_requests, settings.max_requests_per_client)
