"""The table of errors and their problems (RFC 9457)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from carecase_worker.errors import (
    AccessFault,
    AccessRefused,
    AuditUnavailable,
    BacklogFull,
    BatchFault,
    BatchRefused,
    CareCaseError,
    JobConflict,
    JobExpired,
    JobNotFound,
    KeysUnavailable,
    PayloadUnreadable,
    RateExceeded,
    SealBroken,
    StorageFull,
    StoreUnavailable,
)
from carecase_worker.files.media_types import TYPES
from carecase_worker.intake.http.requests.negotiation import ENCODINGS

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}

_BATCH = {
    BatchFault.NOT_JSON: 400,
    BatchFault.NOT_AN_ARRAY: 400,
    BatchFault.NOT_LINES: 400,
    BatchFault.BAD_FILE: 400,
    BatchFault.EMPTY: 400,
    BatchFault.TOO_MANY_ITEMS: 413,
    BatchFault.TOO_LARGE: 413,
    BatchFault.MEDIA_TYPE: 415,
    BatchFault.ENCODING: 415,
    BatchFault.BROKEN_ENCODING: 400,
    BatchFault.BROKEN_OFF: 400,
    BatchFault.NO_DATABASE: 400,
    BatchFault.BAD_PARAMETER: 400,
    BatchFault.CONTRADICTORY: 422,
    BatchFault.BAD_HEADER: 400,
    BatchFault.KEY_REUSED: 422,
    BatchFault.TOO_LARGE_FOR_STRICT: 422,
    BatchFault.NO_MAPPING: 422,
    BatchFault.NOT_ACCEPTABLE: 406,
    BatchFault.TOO_SLOW: 408,
}

_BATCH_HEADERS: Mapping[BatchFault, Mapping[str, str]] = {
    BatchFault.MEDIA_TYPE: {"Accept": ", ".join(TYPES)},
    BatchFault.ENCODING: {"Accept-Encoding": ", ".join(ENCODINGS)},
    # else the rest of a late body would be read before the next request
    BatchFault.TOO_SLOW: {"Connection": "close"},
}

_ACCESS = {
    AccessFault.NO_CREDENTIALS: 401,
    AccessFault.BAD_CREDENTIALS: 401,
    AccessFault.NOT_GRANTED: 403,
    AccessFault.NO_USER_AGENT: 403,
}

_LASTING: Mapping[type[CareCaseError], tuple[int, str]] = {
    JobNotFound: (404, "job-not-found"),
    JobExpired: (410, "job-expired"),
    JobConflict: (409, "job-conflict"),
    StorageFull: (507, "storage-full"),
}

_PASSING: Mapping[type[CareCaseError], str] = {BacklogFull: "backlog-full", KeysUnavailable: "keys-unavailable"}

_RETRY_AFTER_S = "5"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document: an error as sent to a client."""

    status: int
    kind: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def members(self, instance: str) -> dict[str, object]:
        """Return the members of RFC 9457."""
        return {
            "type": f"urn:carecase:problem:{self.kind}",
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }


UNEXPECTED = Problem(
    500,
    "internal",
    "The service failed. Try again; if it fails again, report the activityID to the operator of the service.",
)

CHANGED = Problem(
    500,
    "seal-broken",
    "The stored data of this job was not written by this service, so it is not shown. Report the activityID to the"
    " operator of the service.",
)

_NOT_RECORDED = Problem(
    503,
    "audit-unavailable",
    "The audit log cannot be written at the moment, so the request was refused. Send it again later.",
    {"Retry-After": _RETRY_AFTER_S},
)
_NOT_KNOWN = Problem(
    503,
    "store-unavailable",
    "The job store is unavailable at the moment. Send the request again, a batch with the same Idempotency-Key.",
    {"Retry-After": _RETRY_AFTER_S},
)
_FIXED: Mapping[type[CareCaseError], Problem] = {
    SealBroken: CHANGED,
    AuditUnavailable: _NOT_RECORDED,
    StoreUnavailable: _NOT_KNOWN,
    PayloadUnreadable: _NOT_KNOWN,
}
"""The problems with a fixed text."""


def problem_of(error: CareCaseError) -> Problem:
    """Return the problem of an error."""
    match error:
        case BatchRefused():
            return Problem(_BATCH[error.fault], error.fault.value, str(error), _BATCH_HEADERS.get(error.fault, {}))
        case AccessRefused():
            status = _ACCESS[error.fault]
            return Problem(
                status, error.fault.value, str(error), {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            )
        case RateExceeded(wait=wait):
            return Problem(429, "rate-exceeded", str(error), {"Retry-After": str(math.ceil(wait.total_seconds()) or 1)})
        case JobNotFound() | JobExpired() | JobConflict() | StorageFull():
            return Problem(*_LASTING[type(error)], str(error))
        case BacklogFull() | KeysUnavailable():
            return Problem(503, _PASSING[type(error)], str(error), {"Retry-After": _RETRY_AFTER_S})
        case _:
            return _FIXED.get(type(error), UNEXPECTED)


def problem_of_status(status: int) -> Problem:
    """Return the problem for a status set by framework or connection: unknown path, timeout, oversized head."""
    details = {
        400: "This is not an HTTP request that the service understands.",
        404: "There is nothing at this path.",
        408: "The request took too long to arrive. Send it again.",
        431: "The request line and headers are too large. Send fewer or shorter headers.",
        503: "Too many connections are open at the moment. Send the request again later.",
    }
    headers = {"Retry-After": _RETRY_AFTER_S} if status == 503 else {}
    return Problem(status, f"http-{status}", details.get(status, _TITLES.get(status, "Error")), headers)


def problem_of_method(allowed: str) -> Problem:
    """Return the problem for a method that a path does not allow; `allowed` lists those that it does."""
    return Problem(405, "http-405", f"This path does not allow this method. It allows {allowed}.")


def example_of(status: int, detail: str) -> dict[str, object]:
    """Make an example of a problem with this status, for the published description."""
    kinds = [fault.value for table in (_BATCH, _ACCESS) for fault, other in table.items() if other == status]
    return Problem(status, kinds[0] if kinds else f"http-{status}", f"{detail}.").members("/care-cases-batch")
