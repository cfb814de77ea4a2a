"""The errors of this package; free of HTTP, Redis, SQL and Celery.

    CareCaseError
    ├── SettingsError            the configuration is wrong; the text names every mistake
    ├── BatchRefused             the whole request is at fault; `fault` says how
    ├── AccessRefused            the caller is not authenticated or not authorised; `fault` says which
    ├── RateExceeded             the caller sends too many requests; `wait` is the time until the next
    ├── KeysUnavailable          the issuer's signing keys could not be fetched, so tokens cannot be verified
    ├── JobNotFound              no such job, or it belongs to another client
    ├── JobExpired               the job existed, but its result has expired
    ├── JobConflict              the job's state does not allow the operation
    ├── PayloadUnreadable        a stored chunk has an unknown format version, or its key is not configured
    ├── SealBroken               stored content fails authentication, or is not encrypted at all
    ├── StoreUnavailable         Redis is unreachable, rejects writes, or is not durable
    ├── AuditUnavailable         an access cannot be recorded in the audit log, so it is refused
    ├── BacklogFull              the limit of open work is reached
    ├── StorageFull              the client's results, or those of all clients, reach the storage limit
    ├── TargetFailure            a target database failed; `kind` says how, `cause` why
    ├── SchemaRefused            a target database's schema cannot be brought up to date by this version
    ├── DeadlineExceeded         a command has reached its timeout; the text says what it waited for
    ├── NotInstalled             a command needs an optional dependency that is not installed; the text names it
    ├── StackError               the embedded system cannot start; the text says what to do
    │   └── StackStopped         the system was stopped before it had started
    └── ClientError              a call of the client failed; the text says what to do
        ├── ServiceUnreachable   no response, or one that does not follow the contract
        ├── ServiceBusy          the service is overloaded or failing, and retries did not help
        ├── CallerRefused        the credentials are invalid, or lack a permission
        ├── RequestRefused       the service rejected the request
        ├── JobUnknown           no such job, or its result is no longer kept
        ├── JobStateRefused      the job's state does not allow the operation
        ├── JobNotFinal          the job was not final in the time allowed
        └── BatchUnreadable      the cases or the file cannot be read or written as JSON

Every text is safe to show: no secret, case value or SQL; hosts only in command-line errors.
"""

import traceback
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path


class CareCaseError(Exception):
    """Base class of the errors that this package raises on purpose."""


class SettingsError(CareCaseError):
    """The configuration is wrong; the text has one line per mistake."""


class BatchFault(Enum):
    """Reasons to refuse a whole request."""

    NOT_JSON = "not-json"
    NOT_AN_ARRAY = "not-an-array"
    NOT_LINES = "not-lines"
    BAD_FILE = "bad-file"
    NO_MAPPING = "no-mapping"
    EMPTY = "empty"
    TOO_MANY_ITEMS = "too-many-items"
    TOO_LARGE = "too-large"
    MEDIA_TYPE = "media-type"
    ENCODING = "encoding"
    BROKEN_ENCODING = "broken-encoding"
    BROKEN_OFF = "broken-off"
    NO_DATABASE = "no-database"
    BAD_PARAMETER = "bad-parameter"
    CONTRADICTORY = "contradictory-parameters"
    BAD_HEADER = "bad-header"
    KEY_REUSED = "key-reused"
    TOO_LARGE_FOR_STRICT = "too-large-for-strict"
    NOT_ACCEPTABLE = "not-acceptable"
    TOO_SLOW = "too-slow"


class BatchRefused(CareCaseError):
    """The whole request is rejected; none of it was stored."""

    def __init__(self, fault: BatchFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


class AccessFault(Enum):
    """Reasons to refuse a caller."""

    NO_CREDENTIALS = "no-credentials"
    BAD_CREDENTIALS = "bad-credentials"
    NOT_GRANTED = "not-granted"
    NO_USER_AGENT = "no-user-agent"


class AccessRefused(CareCaseError):
    """The caller is not authenticated or not authorised."""

    def __init__(self, fault: AccessFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


_TOO_OFTEN = "Too many requests from this client. Wait as long as Retry-After says; poll less often."


class RateExceeded(CareCaseError):
    """The caller has sent too many requests; it may send the next one after `wait`."""

    def __init__(self, wait: timedelta, text: str = _TOO_OFTEN) -> None:
        super().__init__(text)
        self.wait = wait


class KeysUnavailable(CareCaseError):
    """The issuer's signing keys could not be fetched, so tokens cannot be verified at the moment."""


class JobNotFound(CareCaseError):
    """There is no such job for this caller."""


class JobExpired(CareCaseError):
    """The job existed, but its result has expired."""


class JobConflict(CareCaseError):
    """The job's state does not allow the operation."""


class StoreUnavailable(CareCaseError):
    """The job store is unreachable or rejects writes; the operation was applied completely or not at all."""


class PayloadUnreadable(CareCaseError):
    """A chunk has a format that this version does not know, or is encrypted with a key that is not configured."""


class SealBroken(CareCaseError):
    """A part of a stored job was modified by something other than this service; the text says which."""


class AuditUnavailable(CareCaseError):
    """The audit log cannot be written to, so the access is refused."""


class BacklogFull(CareCaseError):
    """The limit of open work is reached; try again later."""


class StorageFull(CareCaseError):
    """Jobs and results reach a storage limit; the text says whose limit it is and what to do."""


class FailureKind(Enum):
    """Kinds of failure of a target database, by their consequence for the chunk at hand."""

    AWAY = "away"  # the database does not respond, or is not ready: try the chunk again later
    CONTENTION = "contention"  # this transaction lost a deadlock or conflict: try again at once
    CONFLICT = "conflict"  # an item breaks a constraint: the item is at fault
    REFUSED = "refused"  # an item is refused for a reason other than its content
    TOO_SLOW = "too-slow"  # a deadline ran out: try again later
    UNREADABLE = "unreadable"  # this worker is older than the chunk: another one may take it
    UNEXPECTED = "unexpected"  # an error of this program: try again a few times


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of a target database's outage: a short name, and a fixed text to put after the database's name."""

    name: str
    text: str


class TargetFailure(CareCaseError):
    """A target database failed; the text has the database's error code, if it sent one, and never a value."""

    def __init__(self, kind: FailureKind, code: str = "", cause: Cause | None = None) -> None:
        text = cause.text if cause else f"target database: {kind.value}"
        super().__init__(f"{text} ({code})" if code else text)
        self.kind = kind
        self.cause = cause


class SchemaRefused(CareCaseError):
    """The schema of a target database cannot be brought up to date by this version; nothing was changed."""


class DeadlineExceeded(CareCaseError):
    """A command has reached its timeout; the text says what it waited for and what to do."""


class NotInstalled(CareCaseError):
    """An optional dependency of a command is not installed; the text says what to install."""


class StackError(CareCaseError):
    """The embedded system cannot start or keep running; the text says what to do."""


class StackStopped(StackError):
    """The embedded system was stopped before it had started."""


class ClientError(CareCaseError):
    """A call of the client failed; the text says what to do. `status` is that of the response, if there was one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class ServiceUnreachable(ClientError):
    """There is no response, or it did not come from this service."""


class ServiceBusy(ClientError):
    """The service is overloaded or failing, and retries did not help: 429 and 5xx."""


class CallerRefused(ClientError):
    """The credentials are invalid, or lack a permission: 401, 403."""


class RequestRefused(ClientError):
    """The service rejected the request: 400, 413, 415, 422 and the like."""


class JobUnknown(ClientError):
    """There is no such job, or its result is no longer kept: 404, 410."""


class JobStateRefused(ClientError):
    """The job's state does not allow the operation: 409."""


class JobNotFinal(ClientError):
    """The job is not final yet."""


class BatchUnreadable(ClientError):
    """The cases or the file of a batch cannot be read, or cannot be written as JSON."""


def safe_error_fields(error: BaseException) -> dict[str, str]:
    """Return the log fields of an unexpected error: its type and location, never its message."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].name} in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "where": where}
