"""Bounds of the requests of known callers in progress: of all clients, and of each one."""

from datetime import timedelta

from carecase_worker.intake.limits.places import Places
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.telemetry import MetricSample

_IN_PROGRESS = "Requests of a client that are being answered, held answers among them"
_REFUSED = "Requests that were refused because too many were being answered: of the client, or of all"


class InProgress(Places):
    """The requests in progress; held responses, incoming bodies and slowly read results take a place each."""

    OF_CLIENT = "This client has too many requests at once. Let some of them end first."
    OF_ALL = "Too many requests are being answered just now. Send the request again later."
    LATER = timedelta(seconds=1)
    TAKEN = MetricSample("carecase_requests_in_progress", _IN_PROGRESS, 0, {})
    REFUSED = MetricSample("carecase_requests_refused", _REFUSED, 0, {}, counter=True)

    @classmethod
    def of(cls, settings: IntakeSettings) -> "InProgress":
        """Make the bounds that are configured."""
        return cls(settings.max_requests, settings.max_requests_per_client)
