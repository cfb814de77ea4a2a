"""The outbox of webhooks: events of jobs to deliver, and undelivered ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, cast

import msgspec

from carecase_worker.clock import from_epoch_ms, from_epoch_us, milliseconds
from carecase_worker.settings.sections.webhooks import WebhookSettings
from carecase_worker.store.job import COUNTS
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import moment_of, redis_errors
from carecase_worker.store.scripts import named, values_of

_REPLAYED_AT_ONCE = 1000


class _NextEvent(msgspec.Struct):
    job: str = ""
    event: str = ""
    failed: int = 0


class DeliveryVerdict(Enum):
    """Results of an attempt to deliver an event."""

    DELIVERED = "delivered"
    AGAIN = "again"
    GIVEN_UP = "given_up"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job: its number in the job, name, time by Redis's clock, and the job's counts at that time."""

    job_id: str
    number: int
    name: str
    at: datetime
    database: str
    total: int
    counts: Mapping[str, int]
    packed: bytes = b""

    @property
    def webhook_id(self) -> str:
        """The id by which a receiver recognises an event that is delivered twice."""
        return f"{self.job_id}.{self.number}"

    @classmethod
    def of(cls, job_id: str, packed: bytes) -> "JobEvent":
        """Return the event from an entry of a queue."""
        number, name, at_us, database, total, *counts = packed.decode().split("|")
        tally = dict(zip(COUNTS, map(int, counts), strict=True))
        return cls(job_id, int(number), f"job.{name}", from_epoch_us(int(at_us)), database, int(total), tally, packed)


@dataclass(frozen=True, slots=True)
class WebhookState:
    """The state of a webhook: jobs with queued events, undelivered events, and totals of events.

    `overdue` is for how long the oldest queued event has been due; `reason` says why the last attempts failed. Nothing
    is delivered before `paused_until`.
    """

    waiting: int
    undelivered: int
    delivered: int
    attempts_failed: int
    given_up: int
    dropped: int
    overdue: timedelta
    reason: str = ""
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    paused_until: datetime | None = None


class Outbox:
    """The outbox in Redis. Every method raises StoreUnavailable."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self._redis = client.redis
        self._keys = client.keys

    def next_event(self, webhook: str, holder: str, lease: timedelta) -> tuple[JobEvent, int] | None:
        """Take the lease of a webhook; return the next event that is due, and the number of failed attempts at it.

        None if no event is due, another holder has the lease, or the webhook is disabled or paused.
        """
        reply = self._run("deliver", webhook=webhook, holder=holder, lease_ms=milliseconds(lease))
        found = values_of(reply, _NextEvent)
        return (JobEvent.of(found.job, found.event.encode()), found.failed) if found.job else None

    def note(
        self, webhook: str, holder: str, event: JobEvent, verdict: DeliveryVerdict, failure: "DeliveryFailure"
    ) -> bool:
        """Record the result of an attempt.

        Return False if another worker has the lease meanwhile, or the event is no longer the next one of its job.
        """
        noted = self._run(
            "delivered",
            webhook=webhook,
            holder=holder,
            job=event.job_id,
            event=event.packed.decode(),
            verdict=verdict.value,
            after_ms=milliseconds(failure.after),
            reason=failure.reason,
            pause_ms=milliseconds(failure.pause),
            kept=failure.kept,
        )
        return bool(noted == b"noted")

    def replay(self, webhook: str, kept: timedelta) -> int:
        """Queue all undelivered events again, enable the webhook and end its pause; return the number of events."""
        replayed = 0
        while some := self._replay(webhook, kept):
            replayed += some
        return replayed

    def undelivered(self, webhook: str, most: int) -> list[tuple[datetime, JobEvent]]:
        """Return the newest undelivered events, each with the time at which it was given up."""
        with redis_errors():
            entries = self._redis.zrange(self._keys.undelivered(webhook), 0, most - 1, desc=True, withscores=True)
        events: list[tuple[datetime, JobEvent]] = []
        for member, at_ms in cast(list[tuple[bytes, float]], entries):
            job_id, _, packed = member.partition(b"|")
            events.append((from_epoch_ms(int(at_ms)), JobEvent.of(job_id.decode(), packed)))
        return events

    def state(self, webhook: str) -> WebhookState:
        """Read the state of a webhook."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zcard(self._keys.outbox(webhook))
            pipe.zrange(self._keys.outbox(webhook), 0, 0, withscores=True)
            pipe.zcard(self._keys.undelivered(webhook))
            pipe.hgetall(self._keys.webhook(webhook))
            pipe.pttl(self._keys.paused(webhook))
            now, waiting, first, undelivered, state, paused_ms = pipe.execute()
        fields = {name.decode(): value.decode() for name, value in state.items()}
        overdue = moment_of(now) - from_epoch_ms(int(first[0][1])) if first else timedelta(0)
        return WebhookState(
            waiting=waiting,
            undelivered=undelivered,
            delivered=int(fields.get("delivered", 0)),
            attempts_failed=int(fields.get("attempts_failed", 0)),
            given_up=int(fields.get("given_up", 0)),
            dropped=int(fields.get("dropped", 0)),
            overdue=max(overdue, timedelta(0)),
            reason=fields.get("reason", ""),
            failing_since=_moment(fields, "failing_since_ms"),
            disabled_at=_moment(fields, "disabled_ms"),
            paused_until=moment_of(now) + timedelta(milliseconds=paused_ms) if paused_ms > 0 else None,
        )

    def _replay(self, webhook: str, kept: timedelta) -> int:
        return int(self._run("replay", webhook=webhook, limit=_REPLAYED_AT_ONCE, kept_ms=milliseconds(kept)))

    def _run(self, operation: str, **arguments: Any) -> Any:
        return self._client.run(operation, [named(**arguments)])


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """The failure of an attempt: its reason, when to try again, and how many undelivered events to store.

    During `pause` no event at all is delivered to the webhook.
    """

    reason: str = ""
    after: timedelta = timedelta(0)
    kept: int = 1
    pause: timedelta = timedelta(0)


def _moment(fields: Mapping[str, str], name: str) -> datetime | None:
    return from_epoch_ms(int(fields[name])) if name in fields else None


def webhooks_of(webhooks: Mapping[str, WebhookSettings]) -> dict[str, str]:
    """Return the webhooks of each client, with their events, in the format of `admit`."""
    of_client: dict[str, str] = {}
    for name, webhook in sorted(webhooks.items()):
        wanted = ",".join(event.removeprefix("job.") for event in webhook.events)
        if wanted:
            of_client[webhook.client] = f"{of_client.get(webhook.client, '')} {name}:{wanted}".strip()
    return of_client
