"""Verdicts on responses: done, try again after a delay, or give up with an error. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from carecase_worker.client.documents import detail_of
from carecase_worker.client.exchange.steps import NoResponse, Response
from carecase_worker.clock import backoff
from carecase_worker.errors import (
    CallerRefused,
    ClientError,
    JobStateRefused,
    JobUnknown,
    RequestRefused,
    ServiceBusy,
    ServiceUnreachable,
)

_PASSING = frozenset({429, 502, 503, 504})
_ERRORS: dict[int, tuple[type[ClientError], str]] = {
    401: (CallerRefused, "Check the API key and the token."),
    403: (CallerRefused, "Check the database's name, and what this client may use."),
    408: (ServiceBusy, ""),
    404: (JobUnknown, "Check the job's id and the URL, and whether the same API key sent it."),
    409: (JobStateRefused, ""),
    410: (JobUnknown, ""),
    413: (RequestRefused, "Send it in smaller batches."),
    429: (ServiceBusy, ""),
}
_CHANCE_ON_TOP = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The retry policy of a call: at most `tries` requests, with exponential backoff.

    The delay doubles from `first` to `longest`, half of it jitter. A Retry-After of the service takes precedence. The
    call fails if that is longer than `latest`, or if the errors would last longer than `within`. The timeout for a
    response is `silence`.
    """

    tries: int = 6
    first: timedelta = timedelta(milliseconds=500)
    longest: timedelta = timedelta(seconds=30)
    latest: timedelta = timedelta(minutes=2)
    silence: timedelta = timedelta(seconds=60)
    within: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Done:
    """The request succeeded."""

    answer: Response


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The request failed, and may succeed later."""

    after: timedelta
    reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The request failed, and a retry would not help."""

    error: ClientError


Verdict = Done | TryAgain | GiveUp


def next_step(
    reply: Response | NoResponse,
    tried: int,
    policy: RetryPolicy,
    chance: float,
    now: datetime,
    spent: timedelta = timedelta(),
) -> Verdict:
    """Judge a reply to a request that was sent `tried` times and failed for `spent`; `chance` randomises the delay."""
    if isinstance(reply, Response) and 200 <= reply.status < 300:
        return Done(reply)
    error = _error(reply)
    if tried >= policy.tries or (isinstance(reply, Response) and reply.status not in _PASSING):
        return GiveUp(error)
    asked_for = retry_after(reply, now)
    if asked_for is None:
        after = backoff(tried - 1, policy.first, policy.longest, chance)
    else:
        after = asked_for + _CHANCE_ON_TOP * chance
    if (asked_for or timedelta()) > policy.latest or spent + after > policy.within:
        return GiveUp(error)
    return TryAgain(after, str(error))


def retry_after(reply: Response | NoResponse, now: datetime) -> timedelta | None:
    """Read the delay of a Retry-After, which is seconds or a date (RFC 9110); None without a valid one."""
    value = reply.headers.get("retry-after", "").strip() if isinstance(reply, Response) else ""
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value[:9]))
    try:
        return max(parsedate_to_datetime(value) - now, timedelta())
    except (ValueError, TypeError):
        return None


def unreadable(answer: Response) -> ClientError:
    """Make the error for a response that does not follow the contract."""
    return ServiceUnreachable(
        f"{answer.status}: this is not a response of the service. Check the URL.", status=answer.status
    )


def _error(reply: Response | NoResponse) -> ClientError:
    if isinstance(reply, NoResponse):
        return ServiceUnreachable(
            f"There is no response ({reply.reason}). Check the URL, and whether the service runs."
        )
    detail = detail_of(reply.content)
    if detail is None:
        busy = ServiceBusy(f"{reply.status}: the service is overloaded or unavailable. Try again later.", reply.status)
        return busy if reply.status in _PASSING else unreadable(reply)
    kind, advice = _ERRORS.get(reply.status, (RequestRefused, ""))
    if reply.status >= 500:
        kind, advice = ServiceBusy, f"(activityID {detail[1]})"
    return kind(f"{reply.status}: {detail[0]} {advice}".rstrip(), reply.status)
