"""Every setting: its type, its default and its meaning."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from carecase_worker.settings.kinds import (
    BrokerUrl,
    Count,
    Few,
    Host,
    Keys,
    Name,
    Port,
    Prefix,
    RedisUrl,
    Seconds,
    Secret,
    TargetUrl,
    parse_keys,
)
from carecase_worker.settings.sections.access import AuditSettings, ClientSettings, JwtSettings
from carecase_worker.settings.sections.flower import FlowerSettings
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.settings.sections.oidc import OidcSettings
from carecase_worker.settings.sections.section import Section, seconds_setting
from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.settings.sections.webhooks import DeliverySettings, WebhookSettings
from carecase_worker.settings.urls import services as urls
from carecase_worker.settings.urls import target_parameters as database_parameters


def _address(url: SecretStr, password: SecretStr | None) -> str:
    text = url.get_secret_value()
    return urls.with_password(text, password.get_secret_value()) if password else text


class RedisSettings(Section):
    """The job store."""

    url: RedisUrl = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey with the job store")
    password: Secret | None = Field(None, description="Password for the URL; by environment or file only")
    prefix: Prefix = Field("c:", description="Prefix of every key of the job store")
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync", description="fsync: answer 202 only once the batch is on disk; relaxed: do not wait for the disk"
    )
    ca_file: Path | None = Field(
        None, description="Certificates to trust for rediss://, for the broker, too; the system's if unset"
    )
    cert_file: Path | None = Field(None, description="Client certificate for Redis, if it asks for one")
    key_file: Path | None = Field(None, description="Private key of the client certificate")

    @property
    def address(self) -> str:
        """The URL including the password."""
        return _address(self.url, self.password)


class BrokerSettings(Section):
    """Celery's broker: it carries notifications, never data."""

    url: BrokerUrl | None = Field(None, description="URL of the broker; the job store's Redis if unset")
    password: Secret | None = Field(None, description="Password for the URL; by environment or file only")
    prefix: Prefix = Field("b:", description="Prefix of every key of the broker")


class JobSettings(Section):
    """The division of batches into chunks, and the limits and retention of jobs."""

    chunk_items: Annotated[Count, Field(le=2000)] = Field(1000, description="Most items in a chunk")
    chunk_bytes: Count = Field(
        4 << 20, description="Largest size of a chunk before compression (a single item may be larger)"
    )
    width: Few = Field(8, description="Chunks of one job that are open at a time")
    max_backlog_jobs: Count = Field(
        10_000, description="Most unfinished jobs of one database; beyond it the intake answers 503"
    )
    max_backlog_bytes: Count = Field(
        2 << 30,
        description="Most compressed bytes of the unfinished jobs of one database; beyond it the intake answers 503",
    )
    max_client_jobs: Count = Field(
        250_000,
        description="Most jobs of one client in one database, open or with a kept result; beyond it 507",
    )
    max_client_bytes: Count = Field(
        1 << 30,
        description="Most bytes of one client's jobs and uploads in one database; beyond it 507, or 503",
    )
    max_database_jobs: Count = Field(
        1_000_000, description="Most jobs of all clients in one database, open or with a kept result"
    )
    max_database_bytes: Count = Field(
        3 << 30, description="Most bytes of all clients' jobs and uploads in one database"
    )
    retention: Seconds = seconds_setting("retention", 7 * 86_400, "How long a final job's result is kept")
    retry_deadline: Seconds = seconds_setting(
        "retry_deadline", 86_400, "How long a database may be away before its items get 503"
    )
    lease: Seconds = seconds_setting("lease", 15, "How long a worker holds a claimed chunk before others may claim it")
    renotify_after: Seconds = seconds_setting(
        "renotify_after", 2, "How long an open chunk waits before it is notified for again"
    )
    untaken_after: Seconds = seconds_setting(
        "untaken_after", 30, "How long due work may be left untaken by every worker before the service is not ready"
    )


class WorkerSettings(Section):
    """The side that applies chunks."""

    host: Host = Field("127.0.0.1", description="Address for /livez, /readyz and /metrics of a worker")
    port: Port = Field(
        0, description="Port for /livez, /readyz and /metrics; each worker of a machine needs its own; 0: not served"
    )
    concurrency: Few = Field(2, description="Pool processes of one worker")
    sweep: Seconds = seconds_setting("sweep", 1, "How often a worker looks for chunks whose notification was lost")
    chunk_deadline: Seconds = seconds_setting("chunk_deadline", 10, "How long one attempt at a chunk may take")
    stuck_after: Seconds = seconds_setting(
        "stuck_after",
        30,
        "How long a broker that accepts connections may be silent before a worker restarts itself",
    )


DATABASES_PART = 0.8
"""The fraction of an attempt's time in which a statement must end, so that a slow database reports its own timeout
before the attempt ends, and is not mistaken for one that hangs."""


class DatabaseSettings(Section):
    """One target database; its name in the file is what clients send in `vbasoftware-database`."""

    url: TargetUrl = Field(description="SQLAlchemy URL of PostgreSQL or SQLite; a password belongs in the environment")
    password: Secret | None = Field(None, description="Password for the URL; by environment or file only")
    connect_timeout: Seconds = seconds_setting("connect_timeout", 3, "How long opening a connection may take")
    statement_timeout: Seconds = seconds_setting("statement_timeout", 8, "How long one statement may take")
    lock_timeout: Seconds = seconds_setting("lock_timeout", 3, "How long one statement waits for a lock")

    @property
    def connects_within(self) -> timedelta:
        """The timeout for opening a connection: that of the URL, else `connect_timeout`."""
        return database_parameters.connect_timeout(self.url.get_secret_value(), self.connect_timeout)


class EncryptionSettings(Section):
    """The sealing of chunks and results in Redis; without keys they are not sealed."""

    keys: Keys | None = Field(
        None,
        description="AES-256 keys, id:base64 by commas; the first encrypts, all decrypt; by environment or file only",
    )
    required: bool = Field(
        True,
        description="With keys: refuse jobs that are not encrypted; false until those from before the keys are final",
    )

    @property
    def by_id(self) -> Mapping[str, bytes]:
        """The keys by id; the first one encrypts."""
        return parse_keys(self.keys.get_secret_value()) if self.keys else {}


class LogSettings(Section):
    """Level and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged")
    format: Literal["json", "console"] = Field("json", description="json: one object a line; console: lines for people")


class Settings(Section):
    """Everything that can be configured."""

    intake: IntakeSettings = IntakeSettings()
    redis: RedisSettings = RedisSettings()
    broker: BrokerSettings = BrokerSettings()
    jobs: JobSettings = JobSettings()
    worker: WorkerSettings = WorkerSettings()
    jwt: JwtSettings = JwtSettings()
    oidc: OidcSettings = OidcSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    audit: AuditSettings = AuditSettings()
    flower: FlowerSettings = FlowerSettings()
    delivery: DeliverySettings = DeliverySettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    databases: Mapping[Name, DatabaseSettings] = {}
    clients: Mapping[Name, ClientSettings] = {}
    webhooks: Mapping[Name, WebhookSettings] = {}

    @property
    def broker_url(self) -> str:
        """The broker's URL for Celery, including the password."""
        broker = self.broker
        return urls.broker_url(_address(broker.url, broker.password) if broker.url else self.redis.address)

    @property
    def flower_broker_url(self) -> str:
        """The broker's URL for Flower, with its own user and password if configured."""
        flower = self.flower
        if flower.broker_url is None:
            return self.broker_url
        return urls.broker_url(_address(flower.broker_url, flower.broker_password))
