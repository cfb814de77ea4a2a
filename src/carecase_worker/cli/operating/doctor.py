"""`carecase doctor`: diagnosis of an installation, one finding with advice per line."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.cli.configuration import Config, settings_nearby, sources_nearby
from carecase_worker.cli.ending import STATUS_FAULT
from carecase_worker.cli.operating.findings import Check, Finding, Grade
from carecase_worker.cli.operating.issuers import PageAddress, sign_in, tokens
from carecase_worker.cli.waiting import Timeout, deadline
from carecase_worker.clock import SystemClock
from carecase_worker.errors import CareCaseError, DeadlineExceeded, SettingsError, StackError, StoreUnavailable
from carecase_worker.files.checkup import remarks, summary
from carecase_worker.intake.limits.descriptors import descriptors_fault, most_descriptors
from carecase_worker.plural import counted
from carecase_worker.settings.model import EncryptionSettings, LogSettings, Settings
from carecase_worker.settings.sections.files import FileSettings
from carecase_worker.settings.urls.services import without_credentials
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.redis.checkup import reach, redis_faults, redis_hints
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.clock_watch import clock_fault
from carecase_worker.store.workers.intervals import Intervals
from carecase_worker.store.workers.presence import Presence
from carecase_worker.store.workers.standstill import Standstill
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.state import state
from carecase_worker.targets.tenants import Tenant, tenants_of
from carecase_worker.telemetry import configure_logging

_TIMEOUT = timedelta(seconds=3)


class Role(Enum):
    """The roles whose configuration may stand alone; each lacks parts of the other's."""

    INTAKE = "intake"
    WORKER = "worker"


OneRole = Annotated[
    Role | None,
    typer.Option(help="Check the configuration of this role alone, as in its pod; otherwise it is that of both"),
]


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(config: Config = None, timeout: Timeout = 10.0, page: PageAddress = None, role: OneRole = None) -> None:
    """Check configuration, Redis, databases and workers, and say what to do. Exit status 1 if something must be fixed.

    Without a configuration it checks the `carecase up` of the current directory. Each check may take --timeout
    seconds.
    """
    configure_logging(LogSettings(format="console", level="error"))
    counts: Counter[Grade] = Counter()
    for finding in examine(config, timeout, page, role):
        counts[finding.grade] += 1
        typer.echo(f"{finding.grade.value:<5} {finding.about}: {finding.text}")
    to_fix, hints = counts[Grade.FIX], counts[Grade.HINT]
    more = " Start with the first: it may be the cause of others." if to_fix > 1 else ""
    typer.echo(f"\n{counted(to_fix, 'thing')} to fix, {counted(hints, 'hint')}.{more}")
    raise typer.Exit(STATUS_FAULT if to_fix else 0)


def examine(config: Path | None, seconds: float, page: str | None, role: Role | None) -> Iterator[Finding]:
    """Yield every finding; a failed or late check is one, too. Each check has a timeout of `seconds`.

    `page` is the address of the page for jobs, if the sign-in is to be tried from there. With a `role`, all that only
    the other one needs is left out: clients and tokens, or the target databases.
    """
    used = sources_nearby(config)
    try:
        settings = settings_nearby(config)
    except (SettingsError, StackError) as error:
        for mistake in str(error).splitlines():
            about, _, text = mistake.partition(": ")
            yield Finding(Grade.FIX, about, text)
        yield Finding(Grade.HINT, "configuration", f"was read from {used}; the rest is checked once it is right")
        return
    yield from _configuration(settings, used, role)
    if role is not Role.WORKER:
        yield from _timed("the issuer's keys", tokens, settings, seconds)
        yield from _timed("oidc", partial(sign_in, page), settings, seconds)
    unreachable = list(_timed("redis", _reach, settings, seconds))
    yield from unreachable
    for about, check in _OF_REDIS.items():
        if not unreachable or (about == "broker" and settings.broker.url is not None):
            yield from _timed(about, check, settings, seconds)
    opened = {} if role is Role.INTAKE else tenants_of(settings.databases)
    for name, tenant in opened.items():
        yield from _timed(f"databases.{name}", partial(_database, tenant), settings, seconds)


def _timed(about: str, check: Check, settings: Settings, seconds: float) -> Iterator[Finding]:
    """Yield the findings of a check, or a finding that it timed out."""
    try:
        with deadline(f"the answer of {about}", seconds):
            found = list(check(settings))
    except DeadlineExceeded as error:
        found = [Finding(Grade.FIX, about, f"{error} --timeout sets a longer time.")]
    yield from found


def _reach(settings: Settings) -> Iterator[Finding]:
    """Yield a finding if Redis does not respond, since that would cause the findings of other checks."""
    try:
        reach(settings.redis, _TIMEOUT)
    except StoreUnavailable as error:
        yield Finding(Grade.FIX, "redis", f"{error} ({without_credentials(settings.redis.url.get_secret_value())})")
        skipped = "workers" if settings.broker.url is not None else "broker and workers"
        yield Finding(Grade.HINT, "redis", f"{skipped} are not checked before that is fixed")


def _configuration(settings: Settings, used: str, role: Role | None) -> Iterator[Finding]:
    if not settings.databases:
        yield Finding(Grade.FIX, "databases", "there are none; configure one as [databases.NAME] with its url")
    if role is not Role.WORKER:
        yield from _clients(settings)
    yield from _sealing(settings.encryption)
    if role is not Role.WORKER:
        yield from _intake(settings)
    amounts = f"{counted(len(settings.databases), 'database')}, {counted(len(settings.clients), 'client')}"
    yield Finding(Grade.OK, "configuration", f"{amounts}, by {used}")


def _intake(settings: Settings) -> Iterator[Finding]:
    if settings.audit.directory is None:
        yield Finding(Grade.HINT, "audit.directory", "is not set: reads and writes of cases are not recorded")
    if fault := descriptors_fault(settings.intake.max_connections, most_descriptors()):
        yield Finding(Grade.HINT, "intake.max_connections", f"carecase intake would not start on this machine: {fault}")
    if not settings.intake.rate_per_second:
        yield Finding(Grade.HINT, "intake.rate_per_second", "is 0: a single client can take all of the service")


def _clients(settings: Settings) -> Iterator[Finding]:
    if not settings.clients:
        yield Finding(Grade.FIX, "clients", "there are none, so nobody can send batches; see carecase keys new NAME")
    for name, client in settings.clients.items():
        if not client.databases:
            yield Finding(Grade.FIX, f"clients.{name}", "has no database; list some in its databases")
        if not client.api_key_sha256 and settings.intake.require == "both":
            yield Finding(Grade.FIX, f"clients.{name}", f"has no API key; make one with: carecase keys new {name}")
        for mapping, file in client.files.items():
            yield from _mapping(f"clients.{name}.files.{mapping}", file)


def _mapping(about: str, file: FileSettings) -> Iterator[Finding]:
    """Yield the faults of a mapping, because of which the intake would not start, or would refuse each file."""
    found = list(remarks(file))
    for remark in found:
        yield Finding(Grade.FIX if remark.is_mistake else Grade.HINT, f"{about}.{remark.setting}", remark.text)
    if not any(remark.is_mistake for remark in found):
        yield Finding(Grade.OK, about, summary(file))


def _sealing(encryption: EncryptionSettings) -> Iterator[Finding]:
    if not encryption.by_id:
        yield Finding(
            Grade.HINT, "encryption.keys", "are not set: cases are stored unencrypted in Redis until they are applied"
        )
    elif not encryption.required:
        text = "is false: unsealed jobs are applied; set it to true once the earlier jobs are done"
        yield Finding(Grade.HINT, "encryption.required", text)


def _redis(settings: Settings) -> Iterator[Finding]:
    client = StoreClient(settings.redis)
    try:
        client.check()
        Intervals(client).try_acquire("doctor", timedelta(milliseconds=1))
        LeaseStore(client, settings.jobs).overdue("doctor", 0)
        faults, hints = redis_faults(settings.redis), redis_hints(settings.redis)
    except SettingsError as error:
        yield from (Finding(Grade.FIX, "redis", line) for line in str(error).splitlines())
    except StoreUnavailable as error:
        yield Finding(Grade.FIX, "redis", str(error))
    else:
        yield from (Finding(Grade.FIX, "redis", fault) for fault in faults)
        yield from (Finding(Grade.HINT, "redis", hint) for hint in hints)
        kept = "writes to disk" if settings.redis.durability == "fsync" else "may lose batches (redis.durability)"
        url = without_credentials(settings.redis.url.get_secret_value())
        yield Finding(
            Grade.OK, "redis", f"{url} is reachable, {kept}, evicts nothing, and allows this user all that it needs"
        )


def _clocks(settings: Settings) -> Iterator[Finding]:
    presence = Presence(StoreClient(settings.redis), SystemClock())
    try:
        own, hosts = presence.ahead(), presence.workers().by_host()
    except StoreUnavailable:
        return  # the line about Redis says so
    faults = [fault for host, ahead in hosts.items() if (fault := clock_fault(ahead, f"the clock of {host}"))]
    if (fault := clock_fault(own)) is not None:
        faults.append(fault)
    yield from (Finding(Grade.FIX, "clocks", fault) for fault in dict.fromkeys(faults))


def _broker(settings: Settings) -> Iterator[Finding]:
    notifier = Notifier(celery_app(settings))
    try:
        waiting = sum(notifier.waiting(name) for name in settings.databases or ("none",))
    except StoreUnavailable as error:
        yield Finding(Grade.FIX, "broker", f"{error} ({without_credentials(settings.broker_url)})")
    else:
        url = without_credentials(settings.broker_url)
        yield Finding(Grade.OK, "broker", f"{url} is reachable, {counted(waiting, 'notification')} waiting")


def _database(tenant: Tenant, _: Settings) -> Iterator[Finding]:
    about, url = f"databases.{tenant.name}", without_credentials(tenant.database.url.get_secret_value())
    try:
        found = state(engine_for(tenant))
    except CareCaseError as error:
        yield Finding(Grade.FIX, about, f"{str(error).removeprefix(f'{about}.')} ({url})")
        return
    faults = found.schema_differences()
    yield from (Finding(Grade.FIX, about, f"{fault} ({url})") for fault in faults)
    if not faults:
        yield Finding(Grade.OK, about, f"{url} is reachable, and its schema {found.summary}")


def _workers(settings: Settings) -> Iterator[Finding]:
    client = StoreClient(settings.redis)
    try:
        workers = Presence(client, SystemClock()).workers()
        untaken = Standstill(client, settings.jobs).everywhere(settings.databases)
    except StoreUnavailable:
        yield Finding(Grade.FIX, "workers", "cannot be checked without Redis; fix that first")
        return
    if workers.seen and untaken is not None:
        text = f"none has taken any work for {untaken.total_seconds():.0f} s, though some is due; restart them"
        yield Finding(Grade.FIX, "workers", text)
    elif workers.seen:
        yield Finding(Grade.OK, "workers", f"{workers.seen} were seen within ten seconds")
    else:
        yield Finding(Grade.FIX, "workers", "none was seen within ten seconds; start: carecase worker")


_OF_REDIS: Mapping[str, Check] = {"redis": _redis, "clocks": _clocks, "broker": _broker, "workers": _workers}
"""Checks that need Redis."""
