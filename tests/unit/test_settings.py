"""Settings: TOML, environment over it, secrets by environment or file only, every mistake named."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import leaves, load
from carecase_worker.settings.model import Settings

EXAMPLE = Path(__file__).parent.parent.parent / "config" / "carecase.example.toml"


def loaded(tmp_path: Path, toml: str = "", **variables: str) -> Settings:
    file = tmp_path / "carecase.toml"
    file.write_text(toml)
    return load(file, {f"CARECASE_{name}": value for name, value in variables.items()})


def mistakes(tmp_path: Path, toml: str = "", **variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, toml, **variables)
    return str(caught.value).splitlines()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[intake]\nport = 1\n[jobs]\nlease_seconds = 20", INTAKE_PORT="2")
    assert settings.intake.port == 2
    assert settings.jobs.lease == timedelta(seconds=20)


def test_named_sections_are_reached_from_the_environment(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        '[databases.My-DB]\nurl = "postgresql://u@h/d"\n[clients.a]\ndatabases = ["My-DB"]',
        DATABASES_MY_DB_PASSWORD="p",
        DATABASES_OTHER_URL="sqlite:///x",
        CLIENTS_A_DATABASES="My-DB,other",
    )
    assert settings.databases["My-DB"].password is not None
    assert set(settings.databases) == {"My-DB", "other"}
    assert settings.clients["a"].databases == ("My-DB", "other")


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    secret = "s" * 32
    (tmp_path / "secret").write_text(f"{secret}\n")
    for variables in ({"JWT_SECRET": secret}, {"JWT_SECRET_FILE": str(tmp_path / "secret")}):
        held = loaded(tmp_path, **variables).jwt.secret
        assert held is not None
        assert held.get_secret_value() == secret


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        (f'[jwt]\nsecret = "{"s" * 32}"', "jwt.secret"),
        ('[redis]\nurl = "redis://:word@host"', "redis.url"),
        ('[databases.d]\nurl = "postgresql://u:word@host/d"', "databases.d.url"),
        ('[databases.d]\nurl = "sqlite://"\npassword = "word"', "databases.d.password"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_told(tmp_path: Path, toml: str, place: str) -> None:
    (mistake,) = mistakes(tmp_path, toml)
    assert mistake.startswith(f"{place}: a secret does not belong in the file; set CARECASE_")
    assert "word" not in mistake.removeprefix(place).replace("PASSWORD", "")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        '[intake]\nprot = 1\nport = 99999\n[jbos]\nwidth = 1\n[clients.a]\ndatabases = ["nowhere"]',
        REDIS_URI="redis://h",
    )
    beginnings = (
        "CARECASE_REDIS_URI: no such setting; did you mean CARECASE_REDIS_URL?",
        "clients.a.databases: 'nowhere' is not a configured database",
        "intake.prot: no such setting; did you mean port?",
        "intake.port: input should be less than or equal to 65535 (in the environment: CARECASE_INTAKE_PORT)",
        "jbos: no such section; did you mean jobs?",
    )
    assert len(told) == len(beginnings)
    assert all(any(line.startswith(beginning) for line in told) for beginning in beginnings), told


def test_a_lease_shorter_than_the_work_is_refused(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, "[jobs]\nlease_seconds = 5")
    assert "must be at least 15, that is worker.chunk_deadline_seconds and 5 s" in mistake


def test_every_setting_can_be_given_by_the_environment() -> None:
    example = tomllib.loads(EXAMPLE.read_text())
    variables = {
        "_".join(("CARECASE", section, leaf)).upper(): ",".join(value)
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for section, held in example.items()
        if section not in ("databases", "clients")
        for leaf, value in held.items()
    }
    assert len(variables) > 20
    assert load(environment=variables) == Settings()


@pytest.mark.parametrize("toml", ["intake = 5", "databases = 3", "clients = []", '[databases]\ndemo = "x"'])
def test_a_section_that_is_none_is_told(tmp_path: Path, toml: str) -> None:
    assert mistakes(tmp_path, toml, INTAKE_PORT="1", DATABASES_DEMO_URL="sqlite://")


@pytest.mark.parametrize("url", ["mysql://u@h/d", "nonsense", ""])
def test_a_database_that_cannot_be_used_is_told_at_start(tmp_path: Path, url: str) -> None:
    (mistake,) = mistakes(tmp_path, DATABASES_DEMO_URL=url)
    assert "databases.demo.url: " in mistake


@pytest.mark.parametrize(("toml", "words"), [("[intake", "is not TOML"), (None, "cannot be read")])
def test_an_unreadable_file_is_told(tmp_path: Path, toml: str | None, words: str) -> None:
    file = tmp_path / "carecase.toml"
    if toml is not None:
        file.write_text(toml)
    with pytest.raises(SettingsError, match=words):
        load(file, {})


def test_the_client_variables_are_not_taken_for_settings(tmp_path: Path) -> None:
    loaded(tmp_path, URL="http://x", API_KEY="k", TOKEN="t", DATABASE="d")


def test_the_example_documents_every_setting_with_its_default() -> None:
    text = EXAMPLE.read_text()
    settings = load(EXAMPLE, {})
    for section, leaf, description in leaves():
        assert f"# {description}.\n" in text, f"{section}.{leaf}"
        assert re.search(rf"^(# )?{leaf}\b", text, flags=re.MULTILINE), f"{section}.{leaf}"
    assert settings.model_copy(update={"databases": {}, "clients": {}}) == Settings()


KEY = "k1:" + "A" * 43 + "="


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ("k1", "32 bytes"),
        (f":{KEY}", "id of its own"),
        ("k1:c2hvcnQ=", "32 bytes"),
        ("k1:not base64", "base64"),
        ("k1:*" + "A" * 43, "base64"),
        (f"{KEY},{KEY}", "key 2"),
    ],
)
def test_a_key_that_cannot_seal_is_refused_and_not_told(tmp_path: Path, keys: str, word: str) -> None:
    (mistake,) = mistakes(tmp_path, ENCRYPTION_KEYS=keys)
    assert mistake.startswith("encryption.keys: ")
    assert word in mistake
    assert keys.rpartition(":")[2] not in mistake.replace("base64", "")


def test_keys_come_in_order_by_commas_or_lines(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"new:{'B' * 43}=\n{KEY}\n")
    assert list(loaded(tmp_path, ENCRYPTION_KEYS_FILE=str(tmp_path / "keys")).encryption.by_id) == ["new", "k1"]
    assert dict(loaded(tmp_path, ENCRYPTION_KEYS=KEY).encryption.by_id) == {"k1": bytes(32)}
    assert not loaded(tmp_path).encryption.by_id


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ('algorithms = ["RS256"]', "jwt.algorithms"),
        ('jwks_url = "https://h/keys"', "jwt.algorithms"),
        ('algorithms = ["HS512"]', "jwt.algorithms"),
        ('algorithms = ["ES256"]\njwks_url = "http://issuer/keys"', "jwt.jwks_url"),
        ('algorithms = ["ES256"]\njwks_url = "file:///etc/passwd"', "jwt.jwks_url"),
        ('algorithms = ["ES256"]\njwks_file = "nowhere"', "jwt.jwks_file"),
    ],
)
def test_a_token_rule_that_contradicts_itself_is_told(tmp_path: Path, toml: str, place: str) -> None:
    (mistake,) = mistakes(tmp_path, f"[jwt]\n{toml}")
    assert mistake.startswith(place)


def test_no_secret_is_printed_with_the_settings(tmp_path: Path) -> None:
    secret = "Winterfylleth-0123456789-Winterfylleth"
    settings = loaded(
        tmp_path,
        JWT_SECRET=secret,
        FLOWER_PASSWORD=secret,
        ENCRYPTION_KEYS=KEY,
        REDIS_URL=f"redis://u:{secret}@h",
        BROKER_URL=f"redis://u:{secret}@h",
        FLOWER_BROKER_URL=f"redis://u:{secret}@h",
        DATABASES_D_URL=f"postgresql://u:{secret}@h/d",
        DATABASES_D_PASSWORD=secret,
    )
    for printed in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.databases["d"])):
        assert secret not in printed
        assert KEY not in printed
