"""`carecase doctor`, line by line: what it finds, how bad that is, and the status it ends with."""

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from tests.integration.cli.commands import Carecase, Ran
from tests.integration.store.configuring import configured
from tests.meanwhile import meanwhile
from tests.services import Services

from carecase_worker.clock import SystemClock
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.presence import Presence

PREFIX = f"doctor-lines-{os.getpid()}:"
CONFIG = f"""
[databases.d]
url = "sqlite:///d.sqlite"
[clients.ann]
api_key_sha256 = ["{"0" * 64}"]
databases = ["d"]
"""
AUDIT = "hint  audit.directory: is not set: reads and writes of cases are not recorded"
NO_WORKER = "fix   workers: none was seen within ten seconds; start: carecase worker"


@pytest.fixture
def variables(carecase: Carecase, servers: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with which nothing is left to wish for but a bound of Redis's memory and a user of its own."""
    named = {
        "REDIS_URL": servers.redis_url,
        "REDIS_PREFIX": PREFIX,
        "BROKER_PREFIX": f"broker-of-{PREFIX}",
        "JWT_SECRET": "0123456789abcdef" * 2,
        "ENCRYPTION_KEYS": f"k:{'A' * 43}=",
    }
    for name, value in named.items():
        monkeypatch.setenv(f"CARECASE_{name}", value)


@contextmanager
def a_worker(servers: Services) -> Iterator[None]:
    """Be seen as a worker again and again: workers are forgotten after ten seconds, and a command may take longer."""
    client = StoreClient(RedisSettings.model_validate({"url": servers.redis_url, "prefix": PREFIX}))
    presence = Presence(client, SystemClock())
    presence.seen("one")
    try:
        with meanwhile(lambda: presence.seen("one"), 0.2):
            yield
    finally:
        presence.unseen("one")
        client.close()


def lines_of(ran: Ran) -> list[str]:
    assert ran.err == ""
    *findings, blank, sum_ = ran.out.splitlines()
    assert blank == ""
    return [*findings, sum_]


def about_redis(servers: Services) -> list[str]:
    where = servers.redis_url.partition("@")[2]
    more = "evicts nothing, and allows this user all that it needs"
    return [
        "hint  redis: lets this user do more than the service needs; give it a user of its own (docs/privacy.md)",
        f"ok    redis: redis://{where} is reachable, writes to disk, {more}",
        f"ok    broker: redis://{where} is reachable, 0 notifications waiting",
    ]


@pytest.mark.usefixtures("variables")
def test_a_redis_without_a_limit_to_its_memory_is_to_be_mended(
    carecase: Carecase, servers: Services, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    fault = "fix   redis: has no maxmemory; set it below the machine's memory, so that writes fail before it is killed"
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as server:
        for limit, found in (("0", True), ("1gb", False)):
            with configured(server, maxmemory=limit):
                ran = carecase("doctor", "--config", "c.toml")
            assert (fault in lines_of(ran)) == found


@pytest.mark.usefixtures("variables")
def test_what_is_well_and_what_is_not_is_a_line_each(carecase: Carecase, servers: Services, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    config = ("--config", "c.toml")
    well = (AUDIT, "ok    configuration: 1 database, 1 client, by c.toml (--config), and 5 variables CARECASE_…")
    before = carecase("doctor", *config)
    assert before.status == 1
    assert lines_of(before) == [
        *well, *about_redis(servers), NO_WORKER,
        "fix   databases.d: it is at revision none, not 0001: run carecase db upgrade (sqlite:///d.sqlite)",
        "fix   databases.d: it lacks table care_case (sqlite:///d.sqlite)",
        "fix   databases.d: it lacks table ingest_ledger (sqlite:///d.sqlite)",
        "fix   databases.d: it lacks index ingest_ledger_applied_at (sqlite:///d.sqlite)",
        "5 things to fix, 2 hints. Start with the first: it may be the cause of others.",
    ]  # fmt: skip
    carecase("db", "upgrade", *config)
    fits = "ok    databases.d: sqlite:///d.sqlite is reachable, and its schema fits"
    upgraded = carecase("doctor", *config)
    assert (upgraded.status, lines_of(upgraded)) == (
        1, [*well, *about_redis(servers), NO_WORKER, fits, "1 thing to fix, 2 hints."],
    )  # fmt: skip
    with a_worker(servers):
        after = carecase("doctor", *config)
    seen = "ok    workers: 1 were seen within ten seconds"
    assert (after.status, lines_of(after)) == (
        0,
        [*well, *about_redis(servers), seen, fits, "0 things to fix, 2 hints."],
    )


@pytest.mark.usefixtures("variables")
def test_a_role_does_not_lack_what_only_the_other_one_has(
    carecase: Carecase, servers: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod of each: a worker knows no client, and an intake has no password of a database."""
    rate = "\n[intake]\nrate_per_second = 0\n"
    (tmp_path / "intake.toml").write_text(CONFIG.replace("sqlite:///d.sqlite", f"sqlite:///{tmp_path}/none/d") + rate)
    (tmp_path / "worker.toml").write_text(CONFIG.partition("[clients")[0] + rate)
    carecase("db", "upgrade", "--config", "worker.toml")
    seen = "ok    workers: 1 were seen within ten seconds"
    for role, lines in (
        ("intake", [AUDIT, "hint  intake.rate_per_second: is 0: a single client can take all of the service",
                    "ok    configuration: 1 database, 1 client, by intake.toml (--config), and 5 variables CARECASE_…",
                    *about_redis(servers), seen, "0 things to fix, 3 hints."]),
        ("worker", ["ok    configuration: 1 database, 0 clients, by worker.toml (--config), and 4 variables CARECASE_…",
                    *about_redis(servers), seen,
                    "ok    databases.d: sqlite:///d.sqlite is reachable, and its schema fits",
                    "0 things to fix, 1 hint."]),
    ):  # fmt: skip
        if role == "worker":
            monkeypatch.delenv("CARECASE_JWT_SECRET")
        with a_worker(servers):
            alone = carecase("doctor", "--config", f"{role}.toml", "--role", role)
            as_both = carecase("doctor", "--config", f"{role}.toml")
        assert (alone.status, lines_of(alone)) == (0, lines)
        assert as_both.status == 1


def test_with_nothing_configured_it_says_what_to_configure(carecase: Carecase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", "redis://127.0.0.1:1/0")
    ran = carecase("doctor")
    assert ran.status == 1
    redis = next(line for line in lines_of(ran) if line.startswith("fix   redis: "))
    assert redis.endswith(" (redis://127.0.0.1:1/0)")
    assert lines_of(ran) == [
        "fix   databases: there are none; configure one as [databases.NAME] with its url",
        "fix   clients: there are none, so nobody can send batches; see carecase keys new NAME",
        "hint  encryption.keys: are not set: cases are stored unencrypted in Redis until they are applied",
        AUDIT,
        "ok    configuration: 0 databases, 0 clients, by no file (neither --config nor CARECASE_CONFIG names one), "
        "and 1 variable CARECASE_…",
        "fix   jwt.secret: is not set, so no HS256 token is accepted; set CARECASE_JWT_SECRET",
        redis,
        "hint  redis: broker and workers are not checked before that is fixed",
        "4 things to fix, 3 hints. Start with the first: it may be the cause of others.",
    ]


@pytest.mark.parametrize(
    ("require", "algorithms", "grade"),
    [("both", '["HS256"]', "fix  "), ("either", '["HS256"]', "hint "), ("both", '["HS256", "RS256"]', "hint ")],
)
def test_a_missing_secret_is_to_be_fixed_only_if_nobody_could_be_let_in_without_it(
    carecase: Carecase, tmp_path: Path, require: str, algorithms: str, grade: str
) -> None:
    jwks = 'jwks_file = "keys.json"\nissuer = "i"\naudience = "a"\n' if "RS256" in algorithms else ""
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "c.toml").write_text(
        f'[intake]\nrequire = "{require}"\nrate_per_second = 0\n[redis]\nurl = "redis://127.0.0.1:1/0"\n'
        f'[jwt]\nalgorithms = {algorithms}\n{jwks}[databases.d]\nurl = "sqlite:///d.sqlite"\n'
        f'[clients.ann]\ndatabases = []\n[clients.bob]\ndatabases = ["d"]\n'
    )
    lines = lines_of(carecase("doctor", "--config", "c.toml"))
    secret = "jwt.secret: is not set, so no HS256 token is accepted; set CARECASE_JWT_SECRET"
    assert f"{grade} {secret}" in lines
    assert "fix   clients.ann: has no database; list some in its databases" in lines
    assert "hint  intake.rate_per_second: is 0: a single client can take all of the service" in lines
    keyless = [line for line in lines if "has no API key" in line]
    needed = [f"fix   clients.{one}: has no API key; make one with: carecase keys new {one}" for one in ("ann", "bob")]
    assert keyless == (needed if require == "both" else [])


def test_keys_of_an_issuer_that_can_be_read_are_reported(carecase: Carecase, tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "keys.json").write_text(
        json.dumps({"keys": [{**ECAlgorithm.to_jwk(public, as_dict=True), "kid": "k"}]})
    )
    (tmp_path / "c.toml").write_text(
        '[redis]\nurl = "redis://127.0.0.1:1/0"\n'
        '[jwt]\nalgorithms = ["ES256"]\njwks_file = "keys.json"\nissuer = "i"\naudience = "a"\n'
    )
    lines = lines_of(carecase("doctor", "--config", "c.toml"))
    assert [line for line in lines if "jwt" in line] == ["ok    jwt: the issuer's keys can be read"]


@pytest.mark.parametrize(("required", "told_of"), [("true", []), ("false", ["encryption.required"])])
def test_it_says_that_jobs_which_nobody_sealed_are_applied(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, required: str, told_of: list[str]
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CARECASE_ENCRYPTION_KEYS", f"k:{base64.b64encode(bytes(32)).decode()}")
    monkeypatch.setenv("CARECASE_ENCRYPTION_REQUIRED", required)
    hints = [line.split()[1].rstrip(":") for line in lines_of(carecase("doctor")) if line.startswith("hint")]
    assert [name for name in hints if name.startswith("encryption")] == told_of


def test_a_user_of_redis_that_may_not_do_its_part_is_reported(
    carecase: Carecase, servers: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", servers.flower_redis_url)
    where = servers.redis_url.partition("@")[2]
    *_, redis_line, broker, workers, _ = lines_of(carecase("doctor"))
    assert [redis_line, broker, workers] == [
        "fix   redis: the job store refuses a command to this user; check its ACL",
        f"ok    broker: redis://{where} is reachable, 0 notifications waiting",
        "fix   workers: cannot be checked without Redis; fix that first",
    ]


def test_a_broker_that_is_away_is_reported_without_its_password(
    carecase: Carecase, servers: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", servers.app_redis_url)
    monkeypatch.setenv("CARECASE_BROKER_URL", "redis://u:lost@127.0.0.1:1/0")
    lines = lines_of(carecase("doctor"))
    away = "the broker cannot be reached; check that it runs, and broker.url (redis://127.0.0.1:1/0)"
    assert [line for line in lines if " broker: " in line] == [f"fix   broker: {away}"]
    assert [line for line in lines if line.startswith("ok    redis: ")]


def test_a_broker_of_its_own_is_looked_at_though_redis_is_away(
    carecase: Carecase, servers: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CARECASE_BROKER_URL", servers.redis_url)
    lines = lines_of(carecase("doctor"))
    assert [line[:30] for line in lines if " broker: " in line] == ["ok    broker: redis://127.0.0."]
    assert "hint  redis: workers are not checked before that is fixed" in lines


@pytest.mark.parametrize("about", ["redis", "broker"])
def test_a_redis_or_broker_that_is_silent_is_waited_for_as_long_as_is_asked(
    carecase: Carecase, servers: Services, monkeypatch: pytest.MonkeyPatch, about: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("CARECASE_REDIS_URL", servers.redis_url)
        monkeypatch.setenv(f"CARECASE_{about.upper()}_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        ran = carecase("doctor", "--timeout", "1.5")
    assert f"fix   {about}: the answer of {about} did not come within 1.5 s." in ran.out


def test_what_does_not_answer_in_time_is_reported_and_the_rest_is_looked_at(carecase: Carecase, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / "c.toml").write_text(
            '[redis]\nurl = "redis://127.0.0.1:1/0"\n[databases.b]\nurl = "sqlite:///b.sqlite"\n'
            f'[databases.a]\nurl = "postgresql+psycopg://u@127.0.0.1:{silent.getsockname()[1]}/a"\n'
        )
        ran = carecase("doctor", "--config", "c.toml", "--timeout", "1")
    late = (
        "fix   databases.a: the answer of databases.a did not come within 1 s. Check that it runs and is not"
        " overloaded. --timeout sets a longer time."
    )
    assert late in ran.out.splitlines()
    assert "fix   databases.b: it lacks table care_case (sqlite:///b.sqlite)" in ran.out.splitlines()
