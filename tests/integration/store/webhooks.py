"""What the outbox of webhooks should hold, as keys.py and the heads of its scripts say."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_WAITING = 20


@dataclass
class Webhook:
    """A webhook: the events of each job in order, when each job is due, and what became of others."""

    queues: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    undelivered: dict[str, int] = field(default_factory=dict)
    lease: tuple[str, int] | None = None
    paused_till: int | None = None
    state: dict[str, Any] = field(default_factory=dict)


@dataclass
class Webhooks:
    """All webhooks, by name."""

    held: dict[str, Webhook] = field(default_factory=lambda: defaultdict(Webhook))

    def announce(self, job: str, webhooks: str, event: str, text: str, till_ms: int, now: int) -> bool:
        """Queue an event for those who want it; whether there is any."""
        is_told = False
        for one in webhooks.split():
            name, _, wanted = one.partition(":")
            queue = self.held[name].queues.get(job, ([], 0))[0]
            if event not in wanted.split(",") or (event == "waiting" and len(queue) >= MOST_WAITING):
                continue
            is_told = True
            if not queue:
                self.held[name].due[job] = now
            self.held[name].queues[job] = ([*queue, text], till_ms)
            self._drop_expired(self.held[name], now - (till_ms - now))
        return is_told

    @staticmethod
    def _drop_expired(webhook: Webhook, before: int) -> None:
        """What was to be delivered long ago and has gone leaves the outbox, two for each event that comes."""
        due = sorted((at, job) for job, at in webhook.due.items() if at <= before)
        for _, job in due[:2]:
            if job not in webhook.queues:
                del webhook.due[job]
                webhook.attempts.pop(job, None)

    def deliver(self, name: str, holder: str, lease_ms: int, now: int) -> list[Any]:
        webhook = self.held[name]
        if webhook.lease and webhook.lease[0] != holder:
            return []
        webhook.lease = None
        for job, at in sorted(webhook.due.items(), key=lambda pair: (pair[1], pair[0])):
            if at > now or "disabled_ms" in webhook.state or webhook.paused_till:
                break
            if job in webhook.queues:
                webhook.lease = (holder, now + lease_ms)
                return [job, webhook.queues[job][0][0], webhook.attempts.get(job, 0)]
            del webhook.due[job]
            webhook.attempts.pop(job, None)
        return []

    def delivered(
        self, name: str, holder: str, job: str, event: str, how: tuple[str, int, str, int, int], now: int
    ) -> str:
        webhook, (verdict, after_ms, reason, kept, pause_ms) = self.held[name], how
        if not webhook.lease or webhook.lease[0] != holder or webhook.queues.get(job, ([""], 0))[0][0] != event:
            return "lost"
        ever = webhook.state
        if verdict == "delivered":
            self._pass(webhook, job, now)
            ever["delivered"] = ever.get("delivered", 0) + 1
            ever.pop("failing_since_ms", None)
            ever.pop("reason", None)
            return "noted"
        webhook.lease = None
        ever["attempts_failed"] = ever.get("attempts_failed", 0) + 1
        ever.setdefault("failing_since_ms", now)
        ever["reason"] = reason
        webhook.paused_till = now + pause_ms if pause_ms else webhook.paused_till
        if verdict == "disabled":
            ever["disabled_ms"] = now
        elif verdict == "again":
            webhook.attempts[job] = webhook.attempts.get(job, 0) + 1
            webhook.due[job] = now + after_ms
        else:
            self._pass(webhook, job, now)
            ever["given_up"] = ever.get("given_up", 0) + 1
            webhook.undelivered[f"{job}|{event}"] = now
            for member in sorted(webhook.undelivered, key=lambda one: (webhook.undelivered[one], one))[:-kept]:
                del webhook.undelivered[member]
                ever["dropped"] = ever.get("dropped", 0) + 1
        return "noted"

    def replay(self, name: str, most: int, till_ms: int, now: int) -> int:
        webhook = self.held[name]
        webhook.paused_till = None
        for gone in ("disabled_ms", "failing_since_ms", "reason"):
            webhook.state.pop(gone, None)
        members = sorted(webhook.undelivered, key=lambda one: (webhook.undelivered[one], one))[:most]
        for member in members:
            job, _, event = member.partition("|")
            del webhook.undelivered[member]
            webhook.queues[job] = ([*webhook.queues.get(job, ([], 0))[0], event], till_ms)
            webhook.due[job] = now
        for job in [job for job, at in webhook.due.items() if at > now][:most]:
            webhook.due[job] = now
        return len(members)

    def elapse(self, now: int) -> None:
        for webhook in self.held.values():
            webhook.queues = {job: held for job, held in webhook.queues.items() if held[1] > now}
            if webhook.lease and webhook.lease[1] <= now:
                webhook.lease = None
            if webhook.paused_till and webhook.paused_till <= now:
                webhook.paused_till = None

    def keys(self) -> Iterator[tuple[str, tuple[Any, int | None]]]:
        for name, webhook in self.held.items():
            for job, (queue, till_ms) in webhook.queues.items():
                yield f"events:{name}:{job}", (list(queue), till_ms)
            yield f"outbox:{name}", (dict(webhook.due), None)
            yield f"attempts:{name}", (dict(webhook.attempts), None)
            yield f"undelivered:{name}", (dict(webhook.undelivered), None)
            yield f"webhook:{name}", (dict(webhook.state), None)
            if webhook.paused_till:
                yield f"paused:{name}", ("1", webhook.paused_till)
            if webhook.lease:
                yield f"delivering:{name}", ((webhook.lease[0],), webhook.lease[1])

    @staticmethod
    def _pass(webhook: Webhook, job: str, now: int) -> None:
        queue, till_ms = webhook.queues.pop(job)
        webhook.attempts.pop(job, None)
        webhook.due.pop(job, None)
        if queue[1:]:
            webhook.queues[job], webhook.due[job] = (queue[1:], till_ms), now
