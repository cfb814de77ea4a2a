"""Webhooks: messages as the specification has them, addresses that are permitted, the schedule of attempts."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook
from tests.builders import NOW

from carecase_worker.settings.sections.webhooks import WebhookSettings
from carecase_worker.store.outbox import DeliveryVerdict, JobEvent, webhooks_of
from carecase_worker.worker.webhooks.addresses import permitted
from carecase_worker.worker.webhooks.messages import message_of
from carecase_worker.worker.webhooks.schedule import verdict_on
from carecase_worker.worker.webhooks.sending import Reply, retry_after

JOB = "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"
SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "QUJD" * 8)
PACKED = b"2|completed|1795593600000001|demo|9|1|2|3|2|1"


def test_a_message_is_thin_and_every_secret_has_signed_it() -> None:
    now = datetime.now(UTC)
    message = message_of(JobEvent.of(JOB, PACKED), SECRETS, now, "/carecase")
    assert message.headers["webhook-id"] == f"{JOB}.2"
    assert message.headers["content-type"] == "application/json"
    assert message.headers["user-agent"] == "carecase-worker"
    for secret in SECRETS:
        assert Webhook(secret).verify(message.body, dict(message.headers)) == json.loads(message.body)
    assert json.loads(message.body) == {
        "type": "job.completed",
        "timestamp": "2026-11-25T08:00:00.000001Z",
        "data": {
            "jobId": JOB,
            "state": "completed",
            "database": "demo",
            "total": 9,
            "processed": 9,
            "created": 1,
            "updated": 2,
            "superseded": 3,
            "failed": 2,
            "cancelled": 1,
            "links": {"self": f"/carecase/jobs/{JOB}", "result": f"/carecase/jobs/{JOB}/result"},
        },
    }


def test_a_job_that_waits_has_processed_as_many_items_as_have_an_outcome() -> None:
    message = message_of(JobEvent.of(JOB, b"3|waiting|1795593600000001|demo|9|1|2|0|2|0"), SECRETS, NOW, "")
    data = json.loads(message.body)["data"]
    assert (data["state"], data["total"], data["processed"]) == ("waiting", 9, 5)


@pytest.mark.parametrize("state", ["completed", "cancelled", "waiting"])
def test_type_and_state_of_a_message_say_the_same(state: str) -> None:
    event = JobEvent.of(JOB, f"3|{state}|1795593600000001|demo|9|1|2|0|2|4".encode())
    content = json.loads(message_of(event, SECRETS, NOW, "").body)
    assert (content["type"], content["data"]["state"]) == (f"job.{state}", state)


def test_an_attempt_later_has_the_same_id_and_body() -> None:
    event = JobEvent.of(JOB, PACKED)
    one, two = (message_of(event, SECRETS, NOW + timedelta(hours=hours), "") for hours in (0, 5))
    assert (one.body, one.headers["webhook-id"]) == (two.body, two.headers["webhook-id"])
    sent = [int(message.headers["webhook-timestamp"]) for message in (one, two)]
    assert sent == [int(NOW.timestamp()), int(NOW.timestamp()) + 5 * 3600], "receivers refuse what was signed long ago"


PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::", "2001:db8::1",
    "4000::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_not_connected_to(address: str) -> None:
    assert permitted([address], (), is_encrypted=True) is None


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_public_one_is_with_tls_only(address: str) -> None:
    assert permitted([address], (), is_encrypted=True) == address
    assert permitted([address], (), is_encrypted=False) is None


def test_a_private_one_is_where_it_is_permitted() -> None:
    for is_encrypted in (True, False):
        assert permitted(["10.1.2.3"], ("10.1.0.0/16",), is_encrypted) == "10.1.2.3"
        assert permitted(["::ffff:10.1.2.3"], ("10.1.0.0/16",), is_encrypted) == "::ffff:10.1.2.3"
        assert permitted(["64:ff9b::a01:203"], ("10.1.0.0/16",), is_encrypted) == "64:ff9b::a01:203"
        assert permitted(["10.2.2.3"], ("10.1.0.0/16",), is_encrypted) is None
    assert permitted(["127.0.0.1", "93.184.216.34"], (), is_encrypted=True) == "93.184.216.34"


@pytest.mark.parametrize(
    ("reply", "attempts", "verdict"),
    [
        (Reply(200), 0, DeliveryVerdict.DELIVERED),
        (Reply(204), 9, DeliveryVerdict.DELIVERED),
        (Reply(299), 0, DeliveryVerdict.DELIVERED),
        (Reply(199), 0, DeliveryVerdict.AGAIN),
        (Reply(300), 0, DeliveryVerdict.AGAIN),
        (Reply(301), 0, DeliveryVerdict.AGAIN),
        (Reply(410), 0, DeliveryVerdict.DISABLED),
        (Reply(500), 8, DeliveryVerdict.AGAIN),
        (Reply(500), 9, DeliveryVerdict.GIVEN_UP),
        (Reply(reason="timeout"), 9, DeliveryVerdict.GIVEN_UP),
    ],
)
def test_what_becomes_of_an_event(reply: Reply, attempts: int, verdict: DeliveryVerdict) -> None:
    assert verdict_on(reply, attempts, 0.5, 10)[0] is verdict


def test_each_time_between_attempts_is_the_documented_one_and_a_lost_event_is_kept() -> None:
    minute, hour = 60, 3600
    failures = [verdict_on(Reply(500), attempts, 0.5, 10)[1] for attempts in range(10)]
    assert [failure.after / timedelta(seconds=1) for failure in failures[:9]] == [
        *(5, 30, 5 * minute, 30 * minute),
        *(hour, 3 * hour, 6 * hour, 12 * hour, 24 * hour),
    ]
    assert failures[9].kept == 10


@pytest.mark.parametrize(
    ("status", "asked", "pause"),
    [(429, 60, 60), (503, 3, 3), (503, 999_999, 86_400), (429, None, 5), (502, None, 5), (504, None, 5), (500, 60, 0)],
)
@pytest.mark.parametrize("attempts", [0, 9])
def test_an_overloaded_receiver_gets_no_other_event_for_as_long_as_it_asks(
    status: int, asked: int | None, pause: int, attempts: int
) -> None:
    wait = None if asked is None else timedelta(seconds=asked)
    _, failure = verdict_on(Reply(status, retry_after=wait), attempts, 0.5, 10)
    assert failure.pause == timedelta(seconds=pause)


@pytest.mark.parametrize(
    ("attempts", "chance", "asked", "seconds"),
    [
        (0, 0.5, None, 5),
        (0, 0.0, None, 4.5),
        (8, 0.5, None, 86_400),
        (8, 0.9, None, 86_400),
        (0, 0.5, 60, 60),
        (2, 0.5, 60, 300),
        (0, 0.5, 999_999, 86_400),
    ],
)
def test_attempts_come_after_five_seconds_up_to_a_day(
    attempts: int, chance: float, asked: int | None, seconds: float
) -> None:
    wait = None if asked is None else timedelta(seconds=asked)
    _, failure = verdict_on(Reply(503, retry_after=wait), attempts, chance, 10)
    assert failure.after == timedelta(seconds=seconds)
    assert failure.reason == "status 503"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        ("x", None),
        ("-1", None),
        ("9" * 20, None),
        ("Wed, 25 Nov 2026 08:01:00 GMT", 60),
        ("Wed, 25 Nov 2026 07:59:00 GMT", 0),
        ("Wed, 25 Nov 2026 08:01:00 -0000", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Wed, 25 Nov 2026 08:01:00 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: int | None) -> None:
    assert retry_after(header, NOW) == (None if seconds is None else timedelta(seconds=seconds))


def test_a_job_has_the_webhooks_of_its_client() -> None:
    def webhook(client: str, *events: str) -> WebhookSettings:
        return WebhookSettings.model_validate({"client": client, "url": "https://x", "events": events})

    of_clients = webhooks_of(
        {
            "crm": webhook("ann", "job.completed", "job.waiting"),
            "b": webhook("bob"),
            "a": webhook("ann", "job.cancelled"),
        }
    )
    assert of_clients == {"ann": "a:cancelled crm:completed,waiting"}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x", "https://", "https://u:p@x/", "https://x/#y", "x", "",
        "https://x/#", "https://h/a b", "https://h/%0A", "https://[h/",
        "https://h:99999/x", "https://h:abc/x", "https://h..x/", f"https://{'a' * 64}/", "https://h/ü",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must (have a valid host name|be an https URL|be text of one line)"):
        WebhookSettings.model_validate({"client": "ann", "url": url})


def secret_of(size: int) -> str:
    return f"whsec_{base64.b64encode(bytes(size)).decode()}"


def test_one_to_eight_secrets_of_24_to_64_bytes_are_taken() -> None:
    for secrets in ([secret_of(24)], [secret_of(64)], [secret_of(size) for size in range(24, 32)]):
        given = {"client": "ann", "url": "https://x", "secrets": ",".join(secrets)}
        assert WebhookSettings.model_validate(given).signing_secrets == tuple(secrets)


@pytest.mark.parametrize(
    "secrets",
    [
        "", "whsec_x", "whsec_QUJD", "a,b", secret_of(23), secret_of(65), ",".join(map(secret_of, range(24, 33))),
        secret_of(32).replace("AAAA", "AA AA", 1), secret_of(32).replace("AAAA", "AA!AA", 1),
        secret_of(32).replace("AAAA", "AA\u00e9A", 1),
    ],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused(secrets: str) -> None:
    with pytest.raises(ValueError, match=r"secret \d must be whsec_ and 24 to 64 bytes|must be 1 to 8 secrets"):
        WebhookSettings.model_validate({"client": "ann", "url": "https://x", "secrets": secrets})
