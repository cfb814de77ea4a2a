"""Contradictions between settings that are valid by themselves, or between a setting and the machine."""

import ssl
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from carecase_worker.settings.model import DATABASES_PART, DatabaseSettings, RedisSettings, Settings
from carecase_worker.settings.places import Place, nearest
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.settings.sections.oidc import OidcSettings
from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.settings.urls import target_parameters as database_parameters
from carecase_worker.settings.urls.services import same_server, takes_password
from carecase_worker.settings.urls.targets import password_fault, target_has_password

LEASE_MARGIN = timedelta(seconds=5)
"""The time by which a lease exceeds an attempt: for the hard time limit and the call of Redis."""

OUTBOX_LEASE = timedelta(seconds=60)
"""The lease time of a webhook, after which another worker takes over delivery."""

_SECRET_BYTES = 32
_MOST_SECRETS = 8
_MAKE_ONE = "make one with: openssl rand -hex 32"
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not listened on


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A wrong setting, and a text that says what it should be.

    `others` are other settings involved. If one of them has a mistake of its own, this was found with its default
    instead, so it is not reported.
    """

    place: Place
    text: str
    others: tuple[Place, ...] = ()


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    """Yield each contradiction between settings that are valid by themselves."""
    yield from _deadlines(settings)
    yield from _listeners(settings)
    yield from _connections(settings)
    yield from _passwords(settings)
    yield from _stores(settings)
    yield from _redis_files(settings.redis)
    yield from _tokens(settings.jwt)
    yield from _sign_in(settings)
    yield from _clients(settings)
    yield from _webhooks(settings)
    yield from _tracing(settings.tracing)
    for name, database in settings.databases.items():
        yield from _database(name, database, settings.worker.chunk_deadline)


def _deadlines(settings: Settings) -> Iterator[Contradiction]:
    least = settings.worker.chunk_deadline + LEASE_MARGIN
    if settings.jobs.lease < least:
        text = f"must be at least {least.total_seconds():g}, that is worker.chunk_deadline_seconds and 5 s"
        yield Contradiction(("jobs", "lease_seconds"), text, (("worker", "chunk_deadline_seconds"),))


def _database(name: str, database: DatabaseSettings, chunk_deadline: timedelta) -> Iterator[Contradiction]:
    place = ("databases", name)
    is_in_url = database.connects_within != database.connect_timeout
    timeouts = (
        ("statement_timeout_seconds", "must be", database.statement_timeout, DATABASES_PART),
        ("url", "has a connect_timeout, which must be a number of seconds,", database.connects_within, 1)
        if is_in_url
        else ("connect_timeout_seconds", "must be", database.connect_timeout, 1),
    )
    for leaf, must_be, given, part in timeouts:
        most = part * chunk_deadline
        if given > most:
            of = "" if part == 1 else f"{part:g} of "
            text = (
                f"{must_be} at most {most.total_seconds():g}, that is {of}worker.chunk_deadline_seconds:"
                " the worker would give up before the database does"
            )
            yield Contradiction((*place, leaf), text, (("worker", "chunk_deadline_seconds"),))
    for mistake in database_parameters.contradictions(database.url.get_secret_value(), database.model_fields_set):
        yield Contradiction((*place, "url"), mistake)
    if database.password is not None and (fault := _password_fault(database.url.get_secret_value())):
        yield Contradiction((*place, "password"), fault)


def _password_fault(url: str) -> str:
    """Explain why a password cannot be used with the URL of a database; empty if it can."""
    if fault := password_fault(url):
        return fault
    if target_has_password(url) or "password" in database_parameters.secret_parameters(url):
        return "the URL has a password already; set one of them"
    return ""


def _listeners(settings: Settings) -> Iterator[Contradiction]:
    intake, flower, worker = settings.intake, settings.flower, settings.worker
    listeners = (("intake", intake.host, intake.port), ("flower", flower.host, flower.port))
    pairs = (
        (("flower", flower.host, flower.port), listeners[:1]),
        (("worker", worker.host, worker.port), listeners),
    )
    for (name, host, port), before in pairs:
        for other, its_host, its_port in before:
            hosts = {host, its_host}
            if port == its_port != 0 and (len(hosts) == 1 or hosts & _EVERY_ADDRESS):
                text = f"is also {other}.port; give one of them another port"
                yield Contradiction((name, "port"), text, ((other, "port"), (other, "host"), (name, "host")))


def _connections(settings: Settings) -> Iterator[Contradiction]:
    intake = settings.intake
    if intake.max_requests >= intake.max_connections:
        text = "must be below intake.max_connections: probes and new clients need some of them"
        yield Contradiction(("intake", "max_requests"), text, (("intake", "max_connections"),))


def _passwords(settings: Settings) -> Iterator[Contradiction]:
    redis, broker, flower = settings.redis, settings.broker, settings.flower
    given = (
        ("redis", "password", redis.password, "url", redis.url),
        ("broker", "password", broker.password, "url", broker.url),
        ("flower", "broker_password", flower.broker_password, "broker_url", flower.broker_url),
    )
    for section, leaf, password, url_leaf, url in given:
        if password is not None and (url is None or not takes_password(url.get_secret_value())):
            text = f"needs a {section}.{url_leaf} of one server that has no password in it"
            yield Contradiction((section, leaf), text, ((section, url_leaf),))


def _stores(settings: Settings) -> Iterator[Contradiction]:
    redis, broker = settings.redis, settings.broker
    urls = (("redis", "url"), ("broker", "url"))
    of_jobs, of_broker, of_flower = redis.address, settings.broker_url, settings.flower_broker_url
    if of_broker.startswith("amqp") != of_flower.startswith("amqp"):
        text = "must be the same broker as broker.url, with another user"
        yield Contradiction(("flower", "broker_url"), text, urls)
    prefixes = sorted((redis.prefix, broker.prefix))  # a prefix of the other one comes first
    if not of_broker.startswith("amqp") and prefixes[1].startswith(prefixes[0]) and same_server(of_jobs, of_broker):
        text = "must not begin with redis.prefix, nor redis.prefix with it: both are in one Redis"
        yield Contradiction(("broker", "prefix"), text, (*urls, ("redis", "prefix")))


def _redis_files(redis: RedisSettings) -> Iterator[Contradiction]:
    names = ("ca_file", "cert_file", "key_file")
    faults = {name: fault for name in names if (fault := _file_fault(getattr(redis, name)))}
    yield from (Contradiction(("redis", name), fault) for name, fault in faults.items())
    if faults:
        return
    if redis.key_file is not None and redis.cert_file is None:
        yield Contradiction(("redis", "key_file"), "needs redis.cert_file, the certificate of this key")
    if not _is_loaded(redis.ca_file, lambda context, path: context.load_verify_locations(path)):
        yield Contradiction(("redis", "ca_file"), "must have certificates in PEM; none could be read")
    # asked for a password, the key gets an empty one: nobody is there to type it
    if not _is_loaded(redis.cert_file, lambda context, path: context.load_cert_chain(path, redis.key_file, str)):
        text = "must be a certificate in PEM, and redis.key_file its key in PEM, without a password"
        yield Contradiction(("redis", "cert_file"), text, (("redis", "key_file"),))


def _is_loaded(path: Path | None, load: Callable[[ssl.SSLContext, Path], None]) -> bool:
    """Return whether a TLS file can be loaded; also True if none is set."""
    try:
        if path is not None:
            load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True


def _tokens(jwt: JwtSettings) -> Iterator[Contradiction]:
    secret, algorithms = jwt.secret, ("jwt", "algorithms")
    if not jwt.algorithms:
        yield Contradiction(algorithms, "must have one of HS256, RS256 and ES256")
    if secret is not None and len(secret.get_secret_value().encode()) < _SECRET_BYTES:
        yield Contradiction(("jwt", "secret"), f"must have at least {_SECRET_BYTES} bytes; {_MAKE_ONE}")
    if secret is not None and "HS256" not in jwt.algorithms:
        text = "is for HS256, which jwt.algorithms does not allow; leave it out, or allow HS256"
        yield Contradiction(("jwt", "secret"), text)
    yield from _other_secrets(jwt)
    yield from _key_sets(jwt)
    if fault := _file_fault(jwt.revoked_file):
        yield Contradiction(("jwt", "revoked_file"), fault)


def _other_secrets(jwt: JwtSettings) -> Iterator[Contradiction]:
    if jwt.other_secrets is None:
        return
    place, others = ("jwt", "other_secrets"), jwt.secrets[1 if jwt.secret else 0 :]
    if jwt.secret is None:
        yield Contradiction(place, "needs jwt.secret, the one that signs")
    elif len(set(jwt.secrets)) < len(jwt.secrets):
        yield Contradiction(place, "has a secret twice, or jwt.secret itself")
    if not 0 < len(others) <= _MOST_SECRETS or any(len(one.encode()) < _SECRET_BYTES for one in others):
        text = f"must be 1 to {_MOST_SECRETS} secrets of at least {_SECRET_BYTES} bytes each, by commas; {_MAKE_ONE}"
        yield Contradiction(place, text)


def _key_sets(jwt: JwtSettings) -> Iterator[Contradiction]:
    file, url = ("jwt", "jwks_file"), ("jwt", "jwks_url")
    wants_keys = bool(set(jwt.algorithms) - {"HS256"})
    if jwt.algorithms and wants_keys != (jwt.jwks_file is not None or jwt.jwks_url is not None):
        text = "RS256 and ES256 need jwt.jwks_file or jwt.jwks_url, and these need one of the two"
        yield Contradiction(("jwt", "algorithms"), text, (file, url))
    # an issuer also signs tokens for other services with the same keys
    for name in ("audience", "issuer") if jwt.jwks_file is not None or jwt.jwks_url is not None else ():
        if getattr(jwt, name) is None:
            claim = {"audience": "aud", "issuer": "iss"}[name]
            text = f"must be set if keys come from an issuer; it is the `{claim}` of its tokens for this service"
            yield Contradiction(("jwt", name), text)
    if jwt.jwks_file is not None and jwt.jwks_url is not None:
        yield Contradiction(url, "jwt.jwks_file is set already; set one of them")
    if fault := _file_fault(jwt.jwks_file):
        yield Contradiction(file, fault)


def _sign_in(settings: Settings) -> Iterator[Contradiction]:
    oidc, issuer = settings.oidc, ("oidc", "issuer")
    if oidc.issuer is None:
        unset = OidcSettings()
        for leaf in sorted(leaf for leaf in oidc.model_fields_set if getattr(oidc, leaf) != getattr(unset, leaf)):
            yield Contradiction(("oidc", leaf), "needs oidc.issuer, which signs people in", (issuer,))
        return
    if oidc.client_id is None:
        yield Contradiction(("oidc", "client_id"), "must be set: the id of the page at oidc.issuer")
    if "openid" not in oidc.scopes:
        yield Contradiction(("oidc", "scopes"), "must have openid: sign-in needs it")
    if not {"RS256", "ES256"} & set(settings.jwt.algorithms):
        text = "must have RS256 or ES256: the tokens of oidc.issuer are signed with its keys"
        yield Contradiction(("jwt", "algorithms"), text)


def _clients(settings: Settings) -> Iterator[Contradiction]:
    holders = Counter(digest for client in settings.clients.values() for digest in set(client.api_key_sha256))
    for name, client in settings.clients.items():
        if any(holders[digest] > 1 for digest in client.api_key_sha256):
            text = "has a key of another client, too; each key must belong to one client"
            yield Contradiction(("clients", name, "api_key_sha256"), text)


def _tracing(tracing: TracingSettings) -> Iterator[Contradiction]:
    if tracing.headers is not None and tracing.endpoint is None:
        text = "needs tracing.endpoint, the collector that they are sent to"
        yield Contradiction(("tracing", "headers"), text, (("tracing", "endpoint"),))


def _webhooks(settings: Settings) -> Iterator[Contradiction]:
    longest = OUTBOX_LEASE / 2 - LEASE_MARGIN  # the other half is for a name that is slow to resolve
    if settings.webhooks and settings.delivery.timeout > longest:
        most = longest.total_seconds()
        yield Contradiction(
            ("delivery", "timeout_seconds"), f"must be at most {most:g}: after that another worker takes over"
        )
    for name, webhook in settings.webhooks.items():
        if settings.clients and webhook.client not in settings.clients:
            text = f"must be one of the clients{nearest(webhook.client, settings.clients)}"
            yield Contradiction(("webhooks", name, "client"), text)


def _file_fault(path: Path | None) -> str:
    """Describe why a file cannot be read; empty if it can."""
    if path is None:
        return ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "is not a file"
        with path.open("rb"):
            return ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not a valid file name"
        return f"is not a file that can be read ({reason})"
