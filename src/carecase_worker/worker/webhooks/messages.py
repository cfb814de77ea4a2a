"""Messages to webhooks by the Standard Webhooks specification: thin bodies, signed headers. No I/O.

A body has ids, counts and links: no case, no case key, no outcome of an item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from standardwebhooks import Webhook

from carecase_worker.store.outbox import JobEvent

_STATES = {"job.completed": "completed", "job.cancelled": "cancelled", "job.waiting": "waiting"}
TEST_EVENT = "webhook.test"


@dataclass(frozen=True, slots=True)
class Message:
    """The body and the headers of a request to a webhook."""

    body: bytes
    headers: Mapping[str, str]


def message_of(event: JobEvent, secrets: Sequence[str], now: datetime, root_path: str) -> Message:
    """Return the message of an event, signed with each secret, so that secrets can be rotated."""
    path = f"{root_path}/jobs/{event.job_id}"
    data = {
        "jobId": event.job_id,
        "state": _STATES[event.name],
        "database": event.database,
        "total": event.total,
        "processed": sum(event.counts.values()),
        **event.counts,
        "links": {"self": path, "result": f"{path}/result"},
    }
    return _signed(event.webhook_id, {"type": event.name, "timestamp": _rfc3339(event.at), "data": data}, secrets, now)


def test_message(webhook_id: str, secrets: Sequence[str], now: datetime) -> Message:
    """Return a message without a job, to test a webhook."""
    return _signed(webhook_id, {"type": TEST_EVENT, "timestamp": _rfc3339(now), "data": {}}, secrets, now)


def _signed(webhook_id: str, content: Mapping[str, object], secrets: Sequence[str], now: datetime) -> Message:
    body = msgspec.json.encode(content)
    signatures = (Webhook(secret).sign(webhook_id, now, body.decode()) for secret in secrets)
    headers = {
        "content-type": "application/json",
        "user-agent": "carecase-worker",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return Message(body, headers)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
