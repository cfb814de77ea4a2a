"""Settings of webhooks: the endpoints, and the delivery of events to them."""

import base64
import binascii
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from carecase_worker.settings.kinds import Count, Few, Name, Network, Seconds, Text, parse_secrets
from carecase_worker.settings.sections.section import Section, seconds_setting
from carecase_worker.settings.urls.parts import is_plain

WebhookEvent = Literal["job.completed", "job.cancelled", "job.waiting"]
_MOST_SECRETS = 8


def _url(given: str) -> str:
    try:
        parts = urlsplit(given)
        str(parts.hostname).encode("idna")
        is_valid = parts.port != 0 and is_plain(given)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(
            "must have a valid host name and port, and only ASCII characters,"
            " without spaces and (encoded) control characters"
        )
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None or "#" in given:
        raise ValueError("must be an https URL, as https://host/path, without a user and without a fragment")
    return given


def _secrets(given: SecretStr) -> SecretStr:
    secrets = parse_secrets(given.get_secret_value())
    for number, secret in enumerate(secrets, start=1):
        try:
            size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
        except (binascii.Error, ValueError):
            size = 0
        if not 24 <= size <= 64:
            raise ValueError(
                f"secret {number} must be whsec_ and 24 to 64 bytes as base64; make them with: openssl rand -base64 32"
            )
    if not 1 <= len(secrets) <= _MOST_SECRETS:
        raise ValueError(f"must be 1 to {_MOST_SECRETS} secrets, by commas")
    return given


WebhookUrl = Annotated[Text, AfterValidator(_url)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(_secrets)]


class WebhookSettings(Section):
    """One endpoint that gets the events of a client's jobs (Standard Webhooks)."""

    client: Name = Field(description="Client whose jobs the webhook is notified of")
    url: WebhookUrl = Field(
        description="URL to which events are posted; https, or http within delivery.private_networks"
    )
    events: tuple[WebhookEvent, ...] = Field(
        ("job.completed", "job.cancelled", "job.waiting"), description="Events that are delivered"
    )
    secrets: WebhookSecrets | None = Field(
        None,
        description="Secrets as whsec_base64, separated by commas; each signs, so that one can replace another;"
        " by environment or file only",
    )

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """The secrets that sign."""
        return parse_secrets(self.secrets.get_secret_value()) if self.secrets else ()


class DeliverySettings(Section):
    """The delivery of events to webhooks, by the workers."""

    timeout: Seconds = seconds_setting("timeout", 15, "How long one attempt may take, its connection included")
    private_networks: tuple[Network, ...] = Field(
        (), description="Private addresses or networks that webhooks may lead to, as 10.1.0.0/16; none if empty"
    )
    max_endpoints_at_once: Few = Field(16, description="Most endpoints that one worker delivers to at a time")
    max_undelivered: Count = Field(
        10_000, description="Most undeliverable events of an endpoint that are kept, to be replayed"
    )
