"""The delivery of events by a worker's main process.

A lease lets one worker at a time deliver to a webhook, one event after the other. So a job's events keep their order,
and a slow webhook does not delay others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Thread

from carecase_worker.clock import Clock, Random, monotonic
from carecase_worker.settings.contradictions import OUTBOX_LEASE
from carecase_worker.settings.sections.webhooks import DeliverySettings, WebhookSettings
from carecase_worker.store.outbox import DeliveryVerdict, Outbox
from carecase_worker.telemetry import logger
from carecase_worker.worker.webhooks.messages import message_of
from carecase_worker.worker.webhooks.schedule import verdict_on
from carecase_worker.worker.webhooks.sending import Sending

_log = logger("webhooks")
_SLICE_S = 30.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery to all webhooks; each has a thread while it has due events."""

    outbox: Outbox
    webhooks: Mapping[str, WebhookSettings]
    settings: DeliverySettings
    root_path: str
    sending: Sending
    holder: str
    clock: Clock
    random: Random
    guarded: Callable[[Callable[[], None]], Callable[[], None]]
    """Wrapper that makes a step never raise."""
    busy: dict[str, Thread] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    seconds: Callable[[], float] = monotonic

    def once(self) -> None:
        """Start delivery to each webhook with due events. Raises StoreUnavailable."""
        for name in [name for name, thread in self.busy.items() if not thread.is_alive()]:
            del self.busy[name]
        # the one that was started longest ago comes first, so that slow ones do not take every place for ever
        for name, webhook in sorted(self.webhooks.items(), key=lambda item: self.started.get(item[0], 0.0)):
            if (
                name in self.busy
                or not webhook.signing_secrets
                or len(self.busy) >= self.settings.max_endpoints_at_once
            ):
                continue
            state = self.outbox.state(name)
            if not state.waiting or state.paused_until:
                continue
            deliver = self.guarded(partial(self.deliver, name, webhook))
            self.started[name] = self.seconds()
            self.busy[name] = Thread(target=deliver, name=f"webhook {name}", daemon=True)
            self.busy[name].start()

    def deliver(self, name: str, webhook: WebhookSettings) -> None:
        """Deliver due events to a webhook until it fails to respond or a time slice ends. Raises StoreUnavailable."""
        until = self.seconds() + _SLICE_S
        while self.seconds() < until:
            found = self.outbox.next_event(name, self.holder, OUTBOX_LEASE)
            if found is None:
                return
            event, attempts = found
            now = self.clock.now()
            message = message_of(event, webhook.signing_secrets, now, self.root_path)
            reply = self.sending.send(webhook.url, message, now)
            verdict, failure = verdict_on(reply, attempts, self.random.random(), self.settings.max_undelivered)
            self.outbox.note(name, self.holder, event, verdict, failure)
            if verdict is not DeliveryVerdict.DELIVERED:
                _log.warning("webhook failed", job_id=event.job_id, client=webhook.client, reason=failure.reason)
                if reply.status is None:  # nobody is there; one that answers may take the next event
                    return
