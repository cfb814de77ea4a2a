"""`carecase doctor`: what goes wrong sooner or later with what is configured, and what goes wrong by now."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from tests.acceptance.system import COMMAND, run
from tests.builders import a_key_pair, a_new_job
from tests.elapsing import elapse
from tests.faketime import shifted_by
from tests.integration.cli.commands import Carecase
from tests.integration.store.configuring import configured
from tests.meanwhile import meanwhile
from tests.services import Services
from tests.stores import Stores

from carecase_worker.clock import SystemClock
from carecase_worker.store.workers.presence import Presence

NOWHERE = "redis://127.0.0.1:1/0"
SECRET = "0123456789abcdef" * 2


def findings(carecase: Carecase, about: str) -> list[str]:
    """What it says of something."""
    return [line for line in carecase("doctor").out.splitlines() if line[6:].startswith(f"{about}: ")]


@pytest.fixture
def untaken(
    carecase: Carecase, servers: Services, store: Stores, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Carecase]:
    """The command beside a worker that is there, and a chunk that none has taken for twenty minutes."""
    monkeypatch.setenv("CARECASE_REDIS_URL", servers.redis_url)
    monkeypatch.setenv("CARECASE_REDIS_PREFIX", store.keys.prefix)
    monkeypatch.setenv("CARECASE_DATABASES_DEMO_URL", "sqlite:///demo.sqlite")
    presence = Presence(store.client, SystemClock())
    store.batches.admit(a_new_job(), {0: b"items"})
    elapse(servers.redis_url, store, timedelta(minutes=20))
    presence.seen("one")
    with meanwhile(lambda: presence.seen("one"), 0.2):
        yield carecase


def seconds_in(text: str, around: str) -> int:
    begin, end = around.split("…")
    assert text.startswith(begin), text
    assert text.endswith(end), text
    return int(text.removeprefix(begin).removesuffix(end))


def test_workers_that_take_nothing_that_is_due_are_to_be_started_again(untaken: Carecase) -> None:
    (line,) = findings(untaken, "workers")
    seconds = seconds_in(line, "fix   workers: none has taken any work for … s, though some is due; restart them")
    assert 1200 <= seconds < 1800


def test_to_a_health_check_they_are_no_better_than_none(untaken: Carecase) -> None:
    ran = untaken("workers")
    assert (ran.status, ran.out) == (1, "one\n")
    text = "no worker has taken any work for … s, though some is due; restart the workers\n"
    assert 1200 <= seconds_in(ran.err, text) < 1800


def test_every_mistake_of_redis_by_which_batches_are_lost_is_a_line(
    carecase: Carecase, servers: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", servers.redis_url)
    with (
        redis.Redis.from_url(servers.redis_url, decode_responses=True) as server,
        configured(server, maxmemory_policy="allkeys-lru", appendonly="no"),
    ):
        faults = findings(carecase, "redis")
    assert faults == [
        "fix   redis: Redis may drop accepted batches when it is full."
        " Put into redis.conf: maxmemory-policy noeviction",
        "fix   redis: Redis does not write to disk. Put into redis.conf: appendonly yes, and appendfsync always"
        ' (or say redis.durability = "relaxed" if you can lose accepted batches)',
    ]


@pytest.mark.parametrize(("offset", "side"), [("+1d", "86400 s ahead of"), ("-1d", "86400 s behind")])
def test_a_clock_that_is_off_is_reported(servers: Services, tmp_path: Path, offset: str, side: str) -> None:
    ran = run("doctor", cwd=tmp_path, variables={"CARECASE_REDIS_URL": servers.redis_url, **shifted_by(offset)})
    lines = [line for line in ran.stdout.splitlines() if " clocks: " in line]
    assert lines == [f"fix   clocks: this host's clock is {side} Redis's; synchronise both by NTP"]


def test_more_connections_than_a_process_may_have_descriptors_for_are_reported(tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -Sn 500; ulimit -Hn 500; exec "$0" "$@"', *COMMAND)
    variables = {"CARECASE_REDIS_URL": NOWHERE, "CARECASE_INTAKE_MAX_REQUESTS": "100"}
    shown = {}
    for connections in ("276", "277"):  # and 224 for all else
        variables["CARECASE_INTAKE_MAX_CONNECTIONS"] = connections
        lines = run("doctor", cwd=tmp_path, command=limited, variables=variables).stdout.splitlines()
        shown[connections] = [line for line in lines if "max_connections" in line]
    assert shown == {
        "276": [],
        "277": [
            "hint  intake.max_connections: carecase intake would not start on this machine: 277 connections need 501"
            " file descriptors, and a process may have 500 here; lower it, or raise the limit (ulimit -n, LimitNOFILE=,"
            " ulimits: nofile)"
        ],
    }


def test_a_list_of_what_is_revoked_that_is_no_text_is_reported_and_so_is_a_line_that_is_no_entry(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", NOWHERE)
    monkeypatch.setenv("CARECASE_JWT_REVOKED_FILE", "revoked")
    (tmp_path / "revoked").write_bytes(b"sub j\xff")
    assert findings(carecase, "jwt.revoked_file") == ["fix   jwt.revoked_file: cannot be read (it is not text)"]
    (tmp_path / "revoked").write_text("# nobody yet\n\nsub j.doe\njti\n")
    assert findings(carecase, "jwt.revoked_file") == [
        "fix   jwt.revoked_file: line 4 is not an entry: give kind and value, as jti ID"
    ]
    (tmp_path / "revoked").write_text("sub j.doe\n")
    assert findings(carecase, "jwt.revoked_file") == []


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("REQUIRE_CLIENT_ID", "false", "is off: a token without a client is accepted with any client's API key"),
        (
            "OTHER_SECRETS",
            SECRET[::-1],
            "are accepted, too; remove an older one when the tokens signed by it have expired",
        ),
    ],
)
def test_what_was_made_easier_for_tokens_is_reported_as_long_as_it_is(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", NOWHERE)
    monkeypatch.setenv("CARECASE_JWT_SECRET", SECRET)
    about = f"jwt.{name.lower()}"
    assert findings(carecase, about) == []
    monkeypatch.setenv(f"CARECASE_JWT_{name}", value)
    assert findings(carecase, about) == [f"hint  {about}: {text}"]
    assert SECRET[::-1] not in carecase("doctor").out


def test_keys_of_an_issuer_that_are_too_short_are_counted(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"ALGORITHMS": "RS256", "JWKS_FILE": "keys.json", "ISSUER": "i", "AUDIENCE": "a"}.items():
        monkeypatch.setenv(f"CARECASE_JWT_{name}", value)
    monkeypatch.setenv("CARECASE_REDIS_URL", NOWHERE)
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    keys = [
        {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": f"k{number}"}
        for number, key in enumerate((a_key_pair("RS256"), short))
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    assert findings(carecase, "jwt") == [
        "hint  jwt: 1 RSA key of the issuer below 2,048 bits: no token signed by it is accepted",
        "ok    jwt: the issuer's keys can be read",
    ]


def test_mappings_of_the_clients_are_tried_out(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "carecase.toml").write_text(
        f'[redis]\nurl = "{NOWHERE}"\n[databases.demo]\nurl = "sqlite:///demo.sqlite"\n'
        '[clients.ann]\ndatabases = ["demo"]\n'
        "[clients.ann.files.good]\nconstants = { carePlan_Key = 5 }\n"
        'fixed = { case_Key = "1-9", do_Not_Contact = "10" }\ndelimiter = ";"\n'
        'true_tokens = ["Y"]\nfalse_tokens = ["N"]\n'
        '[clients.ann.files.bad]\ncolumns = { Case = "case_Kay" }\n'
    )
    lines = carecase("doctor", "--config", str(tmp_path / "carecase.toml")).out.splitlines()
    assert [line.partition(";")[0] for line in lines if ".files." in line] == [
        "hint  clients.ann.files.good.delimiter: is not used with fixed: leave out one of them",
        "ok    clients.ann.files.good: 2 fields by their places, 1 constant",
        "fix   clients.ann.files.bad.columns: case_Kay is not a field of a case",
        "fix   clients.ann.files.bad.columns: there is no case_Key, which every case needs",
        "fix   clients.ann.files.bad.columns: there is no carePlan_Key, which every case needs",
        "fix   clients.ann.files.bad.columns: there is no do_Not_Contact, which every case needs",
    ]
