"""`carecase webhooks`: state of endpoints, undelivered events, replay, and a test."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import typer

from carecase_worker.cli.configuration import Config, settings_nearby
from carecase_worker.cli.connection import Json
from carecase_worker.cli.ending import STATUS_FAULT
from carecase_worker.clock import SystemClock, uuid7
from carecase_worker.errors import SettingsError
from carecase_worker.plural import counted
from carecase_worker.settings.model import Settings
from carecase_worker.settings.places import nearest, variable_of
from carecase_worker.settings.sections.webhooks import WebhookSettings
from carecase_worker.store.outbox import Outbox, WebhookState
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.worker.webhooks.messages import test_message
from carecase_worker.worker.webhooks.sending import Reply, Sending, resolve_by_system

_ADVICE = {
    "name not resolved": "Check the host in webhooks.{}.url, and the name servers of this machine.",
    "address not permitted": "The host of webhooks.{}.url leads to a private address, or the URL is http. If you trust"
    " the address, permit it with delivery.private_networks.",
    "certificate not trusted": "Check that the receiver's certificate is for the host in webhooks.{}.url, and that this"
    " machine trusts its authority.",
    "connection failed": "Check that the receiver runs at webhooks.{}.url, and that this machine reaches it.",
    "timeout": "The receiver of webhooks.{} did not answer within delivery.timeout_seconds. It must answer first, and"
    " work afterwards.",
}
"""Advice for each reason of an attempt without a response; the braces are for the webhook's name."""

Webhook = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="Its name in the configuration: crm for [webhooks.crm]")
]


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    webhooks = typer.Typer(help="Endpoints that get the events of jobs", no_args_is_help=True)
    webhooks.callback()(lambda: None)
    webhooks.command("list")(webhooks_list)
    webhooks.command("failed")(webhooks_failed)
    webhooks.command("replay")(webhooks_replay)
    webhooks.command("test")(webhooks_test)
    app.add_typer(webhooks, name="webhooks", help="Endpoints that get the events of jobs")


def webhooks_list(config: Config = None, as_json: Json = False) -> None:
    """List the webhooks and their states. Exit status 1 if one is failing or disabled."""
    settings = settings_nearby(config)
    with _outbox(settings) as outbox:
        states = {name: outbox.state(name) for name in settings.webhooks}
    if as_json:
        documents = [_members(name, settings.webhooks[name], state) for name, state in states.items()]
        typer.echo(json.dumps(documents))
    else:
        for name, state in states.items():
            typer.echo(_line(name, settings.webhooks[name], state))
        if not states:
            typer.echo("no webhook is configured; see [webhooks.NAME] in the configuration", err=True)
    is_failing = any(state.failing_since or state.disabled_at for state in states.values())
    raise typer.Exit(STATUS_FAULT if is_failing else 0)


def webhooks_failed(
    webhook: Webhook,
    most: Annotated[int, typer.Option("--most", min=1, help="Maximum number, the newest first")] = 100,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List the events that could not be delivered; `replay` delivers them again."""
    settings, _ = _found(webhook, config)
    with _outbox(settings) as outbox:
        failed = outbox.undelivered(webhook, most)
    for at, event in failed:
        members = {"webhookId": event.webhook_id, "event": event.name, "jobId": event.job_id, "givenUpAt": _rfc3339(at)}
        typer.echo(json.dumps(members) if as_json else f"{_rfc3339(at)}  {event.name:<14}  {event.webhook_id}")


def webhooks_replay(webhook: Webhook, config: Config = None) -> None:
    """Enable a webhook, end its pause, and let the workers deliver its undelivered and queued events now."""
    settings, _ = _found(webhook, config)
    with _outbox(settings) as outbox:
        count = outbox.replay(webhook, 2 * settings.jobs.retention)
    events = counted(count, "undelivered event")
    typer.echo(f"{events} and all queued ones will be delivered now; see: carecase webhooks list")


def webhooks_test(webhook: Webhook, config: Config = None) -> None:
    """Send a test event without a job from this machine, and show the response. Exit status 1 unless it is 2xx."""
    settings, found = _found(webhook, config)
    if not found.signing_secrets:
        variable = variable_of(("webhooks", webhook, "secrets"))
        raise SettingsError(
            f"webhooks.{webhook}.secrets: there is none to sign with; set {variable}, or {variable}_FILE"
        )
    clock = SystemClock()
    now = clock.now()
    sending = Sending(settings.delivery, resolve_by_system, ssl.create_default_context())
    reply = sending.send(found.url, test_message(str(uuid7(clock)), found.signing_secrets, now), now)
    typer.echo(f"answered with {reply.status}" if reply.status else f"not delivered: {reply.reason}")
    if advice := _advice_on(reply, webhook):
        typer.echo(advice, err=True)
    raise typer.Exit(STATUS_FAULT if advice else 0)


@contextmanager
def _outbox(settings: Settings) -> Iterator[Outbox]:
    with closing(StoreClient(settings.redis)) as client:
        yield Outbox(client)


def _found(name: str, config: Config) -> tuple[Settings, WebhookSettings]:
    """Return the settings, and those of a webhook. Raises SettingsError."""
    settings = settings_nearby(config)
    if name not in settings.webhooks:
        raise SettingsError(f"webhooks.{name}: there is no such webhook{nearest(name, settings.webhooks)}")
    return settings, settings.webhooks[name]


def _advice_on(reply: Reply, webhook: str) -> str:
    """Return what to do about a response to a test; empty for success."""
    if reply.status is None:
        return _ADVICE[reply.reason].format(webhook)
    match reply.status // 100:
        case 2:
            return ""
        case 3:
            return f"Redirects are not followed. Set webhooks.{webhook}.url to the URL that they lead to."
        case _ if reply.status in (401, 403):
            return "The receiver refuses it. Check that it has one of the secrets, and reads the body unchanged."
        case _ if reply.status == HTTPStatus.GONE:
            return "The receiver wants no more events. An event of a job that gets this disables the webhook."
        case _:
            return "The receiver must answer 2xx. Look into its logs."


def _members(name: str, webhook: WebhookSettings, state: WebhookState) -> Mapping[str, Any]:
    return {
        "name": name,
        "client": webhook.client,
        "events": list(webhook.events),
        "waiting": state.waiting,
        "overdueSeconds": round(state.overdue.total_seconds(), 3),
        "delivered": state.delivered,
        "attemptsFailed": state.attempts_failed,
        "undelivered": state.undelivered,
        "reason": state.reason or None,
        "failingSince": _rfc3339(state.failing_since),
        "disabledAt": _rfc3339(state.disabled_at),
        "pausedUntil": _rfc3339(state.paused_until),
    }


def _line(name: str, webhook: WebhookSettings, state: WebhookState) -> str:
    standing = "ok"
    if state.disabled_at:
        standing = (
            f"disabled since {_rfc3339(state.disabled_at)}: it answered 410; enable it: carecase webhooks replay {name}"
        )
    elif state.failing_since:
        standing = f"failing since {_rfc3339(state.failing_since)}: {state.reason}"
        if state.paused_until:
            standing += (
                f"; paused until {_rfc3339(state.paused_until)}, as it asks; end it: carecase webhooks replay {name}"
            )
    elif not webhook.signing_secrets:
        standing = "no secrets are known here; a worker needs them"
    counts = f"{state.delivered} delivered, {state.waiting} jobs wait, {state.undelivered} given up"
    return f"{name}  client {webhook.client}  {counts}  {standing}"


def _rfc3339(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
