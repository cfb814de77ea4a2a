"""Every setting, its type, its default and what it means."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _number(given: object) -> object:
    """A number from the environment is text; pydantic would take it for an ISO 8601 duration."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        raise ValueError("must be a number of seconds") from None


Seconds = Annotated[timedelta, BeforeValidator(_number), Field(gt=timedelta(0))]


def _seconds(name: str, default: float, text: str) -> Any:
    return Field(timedelta(seconds=default), alias=f"{name}_seconds", description=text)


class Section(BaseModel):
    """A part of the settings: frozen, and with nothing in it that is not a setting."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False, hide_input_in_errors=True)


class IntakeSettings(Section):
    """The HTTP side."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(8080, description="Port to listen on; 0 takes a free one")
    max_items: Annotated[int, Field(ge=1, le=1_000_000)] = Field(1_000_000, description="Items in one batch")
    max_body_bytes: Count = Field(1 << 30, description="Size of a decoded body")
    max_item_bytes: Count = Field(256 << 10, description="Size of one item")
    max_wait: Seconds = _seconds("max_wait", 60, "How long an answer is held at most, whatever Prefer: wait says")
    body_timeout: Seconds = _seconds("body_timeout", 30, "How long the next piece of a body may take to arrive")
    require: Literal["both", "either"] = Field(
        "both", description="Whether callers need an API key and a bearer token, or one of them"
    )
    require_user_agent: bool = Field(False, description="Refuse requests without User-Agent")


class RedisSettings(Section):
    """The job store."""

    url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey with the job store")
    prefix: str = Field("c:", description="What every key of the job store starts with")
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync", description="fsync: answer 202 only once the batch is on disk; relaxed: do not insist"
    )


class BrokerSettings(Section):
    """Celery's broker: it carries doorbells, never data."""

    url: SecretStr | None = Field(None, description="The broker; the job store's Redis if unset")
    prefix: str = Field("b:", description="What every key of the broker starts with")


class JobSettings(Section):
    """How batches become chunks, and how long jobs are kept."""

    chunk_items: Annotated[int, Field(ge=1, le=2000)] = Field(1000, description="Items in a chunk, at most")
    chunk_bytes: Count = Field(
        4 << 20, description="Size of a chunk before compression, at most (one item may be larger)"
    )
    width: Annotated[int, Field(ge=1, le=1000)] = Field(8, description="Chunks of one job that are open at a time")
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


class WorkerSettings(Section):
    """The side that applies chunks."""

    concurrency: Count = Field(2, description="Pool processes of one worker")
    sweep: Seconds = _seconds("sweep", 1, "How often a worker looks for chunks nobody rings for")
    chunk_deadline: Seconds = _seconds("chunk_deadline", 10, "How long one attempt at a chunk may take")


def _supported(url: SecretStr) -> SecretStr:
    dialect = url.get_secret_value().partition(":")[0].partition("+")[0]
    if dialect not in ("postgresql", "sqlite"):
        raise ValueError("must be postgresql://user@host/database or sqlite:///path")
    return url


class DatabaseSettings(Section):
    """One target database; its name in the file is what clients send in `vbasoftware-database`."""

    url: Annotated[SecretStr, AfterValidator(_supported)] = Field(
        description="SQLAlchemy URL of PostgreSQL or SQLite; a password belongs in the environment"
    )
    password: SecretStr | None = Field(None, description="Password for the URL; by environment or file only")
    connect_timeout: Seconds = _seconds("connect_timeout", 3, "How long opening a connection may take")
    statement_timeout: Seconds = _seconds("statement_timeout", 8, "How long one statement may take")
    lock_timeout: Seconds = _seconds("lock_timeout", 3, "How long one statement waits for a lock")


class ClientSettings(Section):
    """One API client; its jobs are its own."""

    api_key_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        (), description="SHA-256 of each of its API keys, in hex"
    )
    databases: tuple[str, ...] = Field((), description="The databases it may use")


class JwtSettings(Section):
    """How bearer tokens are checked."""

    secret: SecretStr | None = Field(None, description="HS256 secret, 32 bytes or more; by environment or file only")
    audience: str | None = Field(None, description="What `aud` must hold, if anything")
    issuer: str | None = Field(None, description="What `iss` must be, if anything")
    leeway: Seconds = _seconds("leeway", 30, "Clock skew that is forgiven")


class FlowerSettings(Section):
    """The operators' page."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(5555, description="Port to listen on")
    url_prefix: str = Field("flower", description="Path under which it is served")
    user: str = Field("flower", description="User of the page")
    password: SecretStr | None = Field(None, description="Password of the page; by environment or file only")
    broker_url: SecretStr | None = Field(
        None, description="The broker as Flower's own, lesser user; the broker's URL if unset"
    )


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
    flower: FlowerSettings = FlowerSettings()
    log: LogSettings = LogSettings()
    databases: Mapping[Name, DatabaseSettings] = {}
    clients: Mapping[Name, ClientSettings] = {}

    @property
    def broker_url(self) -> str:
        """The broker's URL, with its password."""
        return (self.broker.url or self.redis.url).get_secret_value()
