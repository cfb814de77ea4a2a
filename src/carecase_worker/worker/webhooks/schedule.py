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


def verdict_on(reply: Reply, attempts: int, chance: float, kept: int) -> tuple[DeliveryVerdict, DeliveryFailure]:
    """Decide about an event after an attempt, before which `attempts` have failed.

    A fifth of each delay is random, by `chance` from [0, 1). Redirects are failures. 410 disables the webhook.
    """
    if reply.status is not None and 200 <= reply.status < 300:
        return DeliveryVerdict.DELIVERED, DeliveryFailure()
    reason = reply.reason or f"status {reply.status}"
    if reply.status == _GONE:
        return DeliveryVerdict.DISABLED, DeliveryFailure(reason)
    if attempts >= len(_DELAYS):
        return DeliveryVerdict.GIVEN_UP, DeliveryFailure(reason, kept=kept)
    delay = _DELAYS[attempts] * (0.9 + chance / 5)
    return DeliveryVerdict.AGAIN, DeliveryFailure(reason, min(max(delay, reply.retry_after or delay), _LONGEST))
