"""Every setting, its type, its default and what it means."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from carecase_worker.settings import database_parameters, urls
from carecase_worker.settings.kinds import (
    BrokerUrl,
    Count,
    Digest,
    Few,
    Host,
    Keys,
    KeySetUrl,
    Name,
    Network,
    Origin,
    Port,
    Prefix,
    Rate,
    RedisUrl,
    RootPath,
    Seconds,
    Secret,
    TargetUrl,
    Text,
    UrlPath,
    User,
    parse_keys,
    parse_secrets,
)


def _seconds(name: str, default: float, text: str) -> Any:
    return Field(timedelta(seconds=default), alias=f"{name}_seconds", description=text)


def _address(url: SecretStr, password: SecretStr | None) -> str:
    told = url.get_secret_value()
    return urls.with_password(told, password.get_secret_value()) if password else told


class Section(BaseModel):
    """A part of the settings: frozen, and with nothing in it that is not a setting."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False, hide_input_in_errors=True)


class IntakeSettings(Section):
    """The HTTP side."""

    host: Host = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(8080, description="Port to listen on; 0 takes a free one")
    max_items: Annotated[Count, Field(le=1_000_000)] = Field(1_000_000, description="Items in one batch")
    max_body_bytes: Count = Field(1 << 30, description="Size of a decoded body")
    max_item_bytes: Count = Field(256 << 10, description="Size of one item")
    max_wait: Seconds = _seconds("max_wait", 60, "How long an answer is held at most, whatever Prefer: wait says")
    body_timeout: Seconds = _seconds("body_timeout", 30, "How long the next piece of a body may take to arrive")
    require: Literal["both", "either"] = Field(
        "both", description="Whether callers need an API key and a bearer token, or one of them"
    )
    require_user_agent: bool = Field(False, description="Refuse requests without User-Agent")
    rate_per_second: Rate = Field(
        25.0, description="Requests a second that a client may make for long, at all intakes together; 0: no limit"
    )
    rate_burst: Count = Field(50, description="Requests that a client may make at once")
    max_header_bytes: Annotated[Count, Field(ge=1024)] = Field(
        32 << 10, description="Size of a request's line and headers"
    )
    header_timeout: Seconds = _seconds("header_timeout", 10, "How long a request's headers may take to come")
    idle_timeout: Seconds = _seconds("idle_timeout", 75, "How long a connection is kept between two requests")
    stall_timeout: Seconds = _seconds("stall_timeout", 30, "How long a client may leave an answer unread")
    cors_origins: tuple[Origin, ...] = Field(
        (), description="Origins of web pages that may call the service, as https://host; none if empty"
    )
    root_path: RootPath | None = Field(
        None, description="Path prefix under which a proxy serves the service, as /carecase"
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For, -Proto and -Prefix count; none if empty",
    )


class RedisSettings(Section):
    """The job store."""

    url: RedisUrl = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey with the job store")
    password: Secret | None = Field(None, description="Password for the URL; by environment or file only")
    prefix: Prefix = Field("c:", description="What every key of the job store starts with")
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync", description="fsync: answer 202 only once the batch is on disk; relaxed: do not insist"
    )
    ca_file: Path | None = Field(
        None, description="Certificates to trust for rediss://, of the broker too; the system's if unset"
    )
    cert_file: Path | None = Field(None, description="Certificate to show to Redis, if it asks for one")
    key_file: Path | None = Field(None, description="Key of that certificate")

    @property
    def address(self) -> str:
        """The URL, with its password."""
        return _address(self.url, self.password)


class BrokerSettings(Section):
    """Celery's broker: it carries doorbells, never data."""

    url: BrokerUrl | None = Field(None, description="The broker; the job store's Redis if unset")
    password: Secret | None = Field(None, description="Password for the URL; by environment or file only")
    prefix: Prefix = Field("b:", description="What every key of the broker starts with")


class JobSettings(Section):
    """How batches become chunks, and how long jobs are kept."""

    chunk_items: Annotated[Count, Field(le=2000)] = Field(1000, description="Items in a chunk, at most")
    chunk_bytes: Count = Field(
        4 << 20, description="Size of a chunk before compression, at most (one item may be larger)"
    )
    width: Few = Field(8, description="Chunks of one job that are open at a time")
    max_backlog_jobs: Count = Field(
        10_000, description="Unfinished jobs of a database, after which the intake answers 503"
    )
    max_backlog_bytes: Count = Field(
        2 << 30, description="Compressed bytes of the unfinished jobs of a database, likewise"
    )
    retention: Seconds = _seconds("retention", 7 * 86_400, "How long a final job's result is kept")
    retry_deadline: Seconds = _seconds(
        "retry_deadline", 86_400, "How long a database may be away before its items get 503"
    )
    lease: Seconds = _seconds("lease", 15, "How long a claimed chunk is left to its worker")
    ring_again: Seconds = _seconds("ring_again", 2, "How long an open chunk waits before it is rung for again")
    untaken_after: Seconds = _seconds(
        "untaken_after", 30, "How long no due work may be taken by any worker before the service says it is not ready"
    )


class WorkerSettings(Section):
    """The side that applies chunks."""

    concurrency: Few = Field(2, description="Pool processes of one worker")
    sweep: Seconds = _seconds("sweep", 1, "How often a worker looks for chunks nobody rings for")
    chunk_deadline: Seconds = _seconds("chunk_deadline", 10, "How long one attempt at a chunk may take")


DATABASES_PART = 0.8
"""The part of an attempt's time in which a database must answer: one that is only slow says so before the time is over,
and then it is not taken for one that hangs."""


class DatabaseSettings(Section):
    """One target database; its name in the file is what clients send in `vbasoftware-database`."""

    url: TargetUrl = Field(description="SQLAlchemy URL of PostgreSQL or SQLite; a password belongs in the environment")
    password: Secret | None = Field(None, description="Password for the URL; by environment or file only")
    connect_timeout: Seconds = _seconds("connect_timeout", 3, "How long opening a connection may take")
    statement_timeout: Seconds = _seconds("statement_timeout", 8, "How long one statement may take")
    lock_timeout: Seconds = _seconds("lock_timeout", 3, "How long one statement waits for a lock")

    @property
    def connects_within(self) -> timedelta:
        """The longest that opening a connection may take, wherever that is told."""
        return database_parameters.connect_timeout(self.url.get_secret_value(), self.connect_timeout)


class ClientSettings(Section):
    """One API client; its jobs are its own."""

    api_key_sha256: tuple[Digest, ...] = Field((), description="SHA-256 of each of its API keys, in hex")
    databases: tuple[Name, ...] = Field((), description="The databases it may use")


class JwtSettings(Section):
    """How bearer tokens are checked."""

    algorithms: tuple[Literal["HS256", "RS256", "ES256"], ...] = Field(
        ("HS256",), description="The only algorithms that a token may be signed with"
    )
    secret: Secret | None = Field(None, description="HS256 secret, 32 bytes or more; by environment or file only")
    other_secrets: SecretStr | None = Field(
        None, description="More HS256 secrets that are believed, by commas; by environment or file only"
    )
    require_client_id: bool = Field(
        True, description="Refuse tokens that name no client; else such a token goes with any client's API key"
    )
    revoked_file: Path | None = Field(
        None, description="List of tokens, subjects, clients and API keys that are revoked; read again when it changes"
    )
    revoked_refresh: Seconds = _seconds("revoked_refresh", 1, "How often it is looked whether that list has changed")
    jwks_file: Path | None = Field(None, description="File with the public keys (JWKS) for RS256 and ES256")
    jwks_url: KeySetUrl | None = Field(None, description="Where these keys are fetched instead; https, or this machine")
    jwks_refresh: Seconds = _seconds("jwks_refresh", 300, "How old the keys may become before they are read again")
    jwks_refetch: Seconds = _seconds(
        "jwks_refetch", 10, "How long after reading them a token with an unknown key makes them be read again"
    )
    audience: Text | None = Field(None, description="What `aud` must hold; needed with public keys")
    issuer: Text | None = Field(None, description="What `iss` must be; needed with public keys")
    leeway: Seconds = _seconds("leeway", 30, "Clock skew that is forgiven")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The HS256 secrets, the one that signs first."""
        held = (self.secret.get_secret_value(),) if self.secret else ()
        return (*held, *parse_secrets(self.other_secrets.get_secret_value() if self.other_secrets else ""))


class EncryptionSettings(Section):
    """How chunks are sealed while they lie in Redis; without keys they are not."""

    keys: Keys | None = Field(
        None,
        description="AES-256 keys as id:base64, by commas; the first seals, all open; by environment or file only",
    )

    @property
    def by_id(self) -> Mapping[str, bytes]:
        """The keys by their ids, the one that seals first."""
        return parse_keys(self.keys.get_secret_value()) if self.keys else {}


class AuditSettings(Section):
    """The audit log: who read and wrote which cases, in files of its own."""

    directory: Path | None = Field(
        None, description="Directory for it, on a disk of the intake's machine; without one nothing is recorded"
    )
    keys: Keys | None = Field(
        None,
        description="Keys of its digests as id:base64, by commas; the first signs; by environment or file only",
    )
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync", description="fsync: nothing is done before its record is on disk; relaxed: before it is written"
    )
    max_file_bytes: Count = Field(64 << 20, description="Size at which a file is closed and the next one begun")
    keep_files: Count = Field(100, description="Closed files that are kept; the oldest is removed")

    @property
    def by_id(self) -> Mapping[str, bytes]:
        """The keys by their ids, the one that signs first."""
        return parse_keys(self.keys.get_secret_value()) if self.keys else {}


class FlowerSettings(Section):
    """The operators' page."""

    host: Host = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(5555, description="Port to listen on")
    url_prefix: UrlPath = Field("flower", description="Path under which it is served")
    user: User = Field("flower", description="User of the page")
    password: Secret | None = Field(None, description="Password of the page; by environment or file only")
    wrong_passwords_per_minute: Count = Field(
        10, description="Wrong passwords in a minute from one address, after which it is refused for a while"
    )
    broker_url: BrokerUrl | None = Field(
        None, description="The broker as Flower's own, lesser user; the broker's URL if unset"
    )
    broker_password: Secret | None = Field(None, description="Password for that URL; by environment or file only")


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged")
    format: Literal["json", "console"] = Field("json", description="One JSON object a line, or lines for people")


class Settings(Section):
    """Everything that can be configured."""

    intake: IntakeSettings = IntakeSettings()
    redis: RedisSettings = RedisSettings()
    broker: BrokerSettings = BrokerSettings()
    jobs: JobSettings = JobSettings()
    worker: WorkerSettings = WorkerSettings()
    jwt: JwtSettings = JwtSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    audit: AuditSettings = AuditSettings()
    flower: FlowerSettings = FlowerSettings()
    log: LogSettings = LogSettings()
    databases: Mapping[Name, DatabaseSettings] = {}
    clients: Mapping[Name, ClientSettings] = {}

    @property
    def broker_url(self) -> str:
        """The broker's URL as Celery takes it, with its password."""
        broker = self.broker
        return urls.broker_url(_address(broker.url, broker.password) if broker.url else self.redis.address)

    @property
    def flower_broker_url(self) -> str:
        """The broker's URL as Flower takes it, with the password of its own user if it has one."""
        flower = self.flower
        if flower.broker_url is None:
            return self.broker_url
        return urls.broker_url(_address(flower.broker_url, flower.broker_password))
