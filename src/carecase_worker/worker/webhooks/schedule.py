"""The schedule of attempts to deliver an event. Pure."""

from datetime import timedelta

from carecase_worker.store.outbox import DeliveryFailure, DeliveryVerdict
from carecase_worker.worker.webhooks.sending import Reply

_DELAYS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 300, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
)
"""Delays after the first failed attempt, the second...: two days in all."""

_LONGEST = timedelta(hours=24)
_GONE = 410
_OVERLOADED = (429, 502, 503, 504)
"""Statuses of a receiver that wants fewer requests, whichever event they are about."""


def verdict_on(reply: Reply, attempts: int, chance: float, kept: int) -> tuple[DeliveryVerdict, DeliveryFailure]:
    """Decide about an event after an attempt, before which `attempts` have failed.

    A fifth of each delay is random, by `chance` from [0, 1). Redirects are failures. 410 disables the webhook; an
    overloaded receiver gets no other event either, for as long as it asks or else for the first delay.
    """
    if reply.status is not None and 200 <= reply.status < 300:
        return DeliveryVerdict.DELIVERED, DeliveryFailure()
    reason = reply.reason or f"status {reply.status}"
    if reply.status == _GONE:
        return DeliveryVerdict.DISABLED, DeliveryFailure(reason)
    share = 0.9 + chance / 5
    pause = min(reply.retry_after or _DELAYS[0] * share, _LONGEST) if reply.status in _OVERLOADED else timedelta(0)
    if attempts >= len(_DELAYS):
        return DeliveryVerdict.GIVEN_UP, DeliveryFailure(reason, kept=kept, pause=pause)
    delay = _DELAYS[attempts] * share
    after = min(max(delay, reply.retry_after or delay), _LONGEST)
    return DeliveryVerdict.AGAIN, DeliveryFailure(reason, after, pause=pause)
