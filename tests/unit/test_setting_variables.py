"""Mistakes in the environment, each with the whole line that its writer gets: the setting, the variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tests.tls import certificates
from tests.unit.setting_mistakes import DIGESTS, WHOLE, mistakes

KEY = "A" * 43 + "="

BOUND = {"JWT_AUDIENCE": "a", "JWT_ISSUER": "i"}
OTHERS = "must be 1 to 8 secrets of at least 32 bytes each, by commas; make one with: openssl rand -hex 32"

WRONG_VARIABLES = [
    ({"NONSENSE": "x"}, ["CARECASE_NONSENSE: no such setting"]),
    ({"ZZZ": "x", "": "x"}, ["CARECASE_: no such setting", "CARECASE_ZZZ: no such setting"]),
    ({"REDIS_URI": "x"}, ["CARECASE_REDIS_URI: no such setting; did you mean CARECASE_REDIS_URL?"]),
    ({"INTAKE_PROT": "1"}, ["CARECASE_INTAKE_PROT: no such setting; did you mean CARECASE_INTAKE_PORT?"]),
    ({"INTAKE_PORT_FILE": "/f"}, ["CARECASE_INTAKE_PORT_FILE: no such setting; did you mean CARECASE_INTAKE_PORT?"]),
    (
        {"JOBS_RETENTION": "1"},
        ["CARECASE_JOBS_RETENTION: no such setting; did you mean CARECASE_JOBS_RETENTION_SECONDS?"],
    ),
    (
        {"DATABASES_D_URI": "x"},
        ["CARECASE_DATABASES_D_URI: no such setting; did you mean CARECASE_DATABASES_NAME_URL?"],
    ),
    (
        {"DATABASES_D_URL": "sqlite:///d", "CLIENTS_A_DATABASE": "d"},
        ["CARECASE_CLIENTS_A_DATABASE: no such setting; did you mean CARECASE_CLIENTS_NAME_DATABASES?"],
    ),
    (
        {"INTAKE_PORT": "x"},
        [f"intake.port: {WHOLE} 0 to 65535 (in the environment: CARECASE_INTAKE_PORT)"],
    ),
    (
        {"CLIENTS_A_API_KEY_SHA256": "x"},
        [f"clients.a.api_key_sha256: {DIGESTS} (in the environment: CARECASE_CLIENTS_A_API_KEY_SHA256)"],
    ),
    ({"INTAKE_PORT": " "}, ["CARECASE_INTAKE_PORT: is empty; give it a value, or leave it unset"]),
    (
        {"JWT_SECRET": "s" * 31},
        [
            "jwt.secret: must have at least 32 bytes; make one with: openssl rand -hex 32"
            " (in the environment: CARECASE_JWT_SECRET)"
        ],
    ),
    (
        {"JWT_SECRET": "s" * 32, "JWT_ALGORITHMS": "RS256", "JWT_JWKS_URL": "https://h/keys", **BOUND},
        [
            "jwt.secret: is for HS256, which jwt.algorithms does not allow; leave it out, or allow HS256"
            " (in the environment: CARECASE_JWT_SECRET)"
        ],
    ),
    *(
        (
            {"JWT_OTHER_SECRETS": others, **({"JWT_SECRET": "s" * 32} if has_secret else {})},
            [f"jwt.other_secrets: {told} (in the environment: CARECASE_JWT_OTHER_SECRETS)"],
        )
        for others, has_secret, told in (
            ("o" * 31, True, OTHERS),
            (f"{'o' * 32},{'p' * 31}", True, OTHERS),
            (",".join(f"{n}" * 32 for n in range(9)), True, OTHERS),
            (" , ,", True, OTHERS),
            ("s" * 32, True, "has a secret twice, or jwt.secret itself"),
            (f"{'o' * 32} {'o' * 32}", True, "has a secret twice, or jwt.secret itself"),
            ("o" * 32, False, "needs jwt.secret, the one that signs"),
        )
    ),
    *(
        (
            variables,
            [
                f"{section}.{leaf}: needs a {section}.{url} of one server that has no password in it"
                f" (in the environment: CARECASE_{section.upper()}_{leaf.upper()})"
            ],
        )
        for section, leaf, url, variables in (
            ("redis", "password", "url", {"REDIS_URL": "redis://u:p@h", "REDIS_PASSWORD": "p"}),
            ("redis", "password", "url", {"REDIS_URL": "unix:///s", "REDIS_PASSWORD": "p"}),
            ("broker", "password", "url", {"BROKER_PASSWORD": "p"}),
            ("broker", "password", "url", {"BROKER_URL": "amqp://a;amqp://b", "BROKER_PASSWORD": "p"}),
            ("broker", "password", "url", {"BROKER_URL": "redis+socket:///s", "BROKER_PASSWORD": "p"}),
            ("flower", "broker_password", "broker_url", {"FLOWER_BROKER_PASSWORD": "p"}),
        )
    ),
    *(
        (
            {"DATABASES_D_URL": url, "DATABASES_D_PASSWORD": "p"},
            [f"databases.d.password: {told} (in the environment: CARECASE_DATABASES_D_PASSWORD)"],
        )
        for url, told in (
            ("sqlite:///d", "is not for SQLite, which has none; leave it out"),
            ("postgresql://u:p@h/d", "the URL has a password already; set one of them"),
            ("postgresql://u@h/d?password=p", "the URL has a password already; set one of them"),
        )
    ),
    *(
        ({"ENCRYPTION_KEYS": keys}, [f"encryption.keys: {told} (in the environment: CARECASE_ENCRYPTION_KEYS)"])
        for keys, told in (
            ("k1", "key 1 must have 32 bytes; make one with: openssl rand -base64 32"),
            ("k1:AA==", "key 1 must have 32 bytes; make one with: openssl rand -base64 32"),
            (f"k1:{'A' * 42}==", "key 1 must have 32 bytes; make one with: openssl rand -base64 32"),
            (f"k1:{'A' * 44}", "key 1 must have 32 bytes; make one with: openssl rand -base64 32"),
            (f"k1:*{KEY[1:]}", "key 1 must be base64; make one with: openssl rand -base64 32"),
            (f":{KEY}", "key 1 must have an id of its own, of letters, digits, _ and -, as in id:base64"),
            (f"{'k' * 33}:{KEY}", "key 1 must have an id of its own, of letters, digits, _ and -, as in id:base64"),
            (f"k:{KEY},k:{KEY}", "key 2 must have an id of its own, of letters, digits, _ and -, as in id:base64"),
        )
    ),
]  # fmt: skip

FOLLOWS = [
    ({"REDIS_URL": "x", "REDIS_PASSWORD": "p"}, "redis.url"),
    ({"BROKER_URL": "x", "BROKER_PASSWORD": "p"}, "broker.url"),
    ({"FLOWER_BROKER_URL": "x", "FLOWER_BROKER_PASSWORD": "p"}, "flower.broker_url"),
    ({"DATABASES_D_URL": "x", "DATABASES_D_PASSWORD": "p"}, "databases.d.url"),
    ({"TRACING_ENDPOINT": "x", "TRACING_HEADERS": "a=b"}, "tracing.endpoint"),
    ({"JWT_ALGORITHMS": "x", "JWT_SECRET": "s" * 32}, "jwt.algorithms"),
]
"""Variables of which one has a mistake, and another one would have nothing to be about without it."""

RIGHT_VARIABLES = [
    {"JWT_SECRET": "s" * 32, "JWT_OTHER_SECRETS": ",".join(f"{n}" * 32 for n in range(8))},
    {"JWT_SECRET": "s" * 32, "JWT_OTHER_SECRETS": "ä" * 16},
    {"JWT_SECRET": "s" * 32},
    {"JWT_SECRET": "ä" * 16},
    {"ENCRYPTION_KEYS": f"{'k' * 32}:{KEY}, K-2_:{KEY}"},
    {"ENCRYPTION_KEYS": f"k:{'_-' * 21}A="},
    {"INTAKE_PORT": "070", "INTAKE_REQUIRE_USER_AGENT": "1"},
    {"REDIS_URL": "redis://u@h", "REDIS_PASSWORD": "p"},
    {"DATABASES_D_URL": "postgresql://u@h/d", "DATABASES_D_PASSWORD": "p"},
]


@pytest.mark.parametrize(("variables", "expected"), WRONG_VARIABLES)
def test_a_mistake_in_the_environment(tmp_path: Path, variables: dict[str, str], expected: list[str]) -> None:
    assert mistakes(tmp_path, **variables) == expected


@pytest.mark.parametrize(("variables", "place"), FOLLOWS)
def test_what_follows_from_a_mistake_is_no_mistake_of_its_own(
    tmp_path: Path, variables: dict[str, str], place: str
) -> None:
    assert [told.partition(": ")[0] for told in mistakes(tmp_path, **variables)] == [place]


@pytest.mark.parametrize("variables", RIGHT_VARIABLES)
def test_no_mistake_in_the_environment(tmp_path: Path, variables: dict[str, str]) -> None:
    assert mistakes(tmp_path, **variables) == []


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    """OpenSSL would ask the terminal, or without one its standard input, which here has the right answer."""
    made = certificates(tmp_path / "made")
    key = load_pem_private_key(made.key.read_bytes(), None)
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))
    files = {"CARECASE_REDIS_CERT_FILE": str(made.certificate), "CARECASE_REDIS_KEY_FILE": str(made.key)}
    ran = subprocess.run(
        [sys.executable, "-c", "from carecase_worker.settings.loading import load; load()"],
        env={**os.environ, **files},
        input="word\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert "redis.key_file its key in PEM, without a password" in ran.stderr
    assert "pass phrase" not in ran.stderr
