"""Settings: TOML, environment over it, secrets by environment or file only, every mistake named."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import DatabaseSettings, Settings
from carecase_worker.settings.places import NAMED, PLAIN, setting_names
from carecase_worker.settings.sections.access import ClientSettings

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "config" / "carecase.example.toml"
PAGE = ROOT / "docs" / "configuration.md"


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
    secret = f" {'s' * 32} "  # the blanks are part of it: others sign with them, too
    (tmp_path / "secret").write_text(f"{secret}\n")
    for variables in ({"JWT_SECRET": secret}, {"JWT_SECRET_FILE": str(tmp_path / "secret")}):
        loaded_secret = loaded(tmp_path, **variables).jwt.secret
        assert loaded_secret is not None
        assert loaded_secret.get_secret_value() == secret


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        (f'[jwt]\nsecret = "{"s" * 32}"', "jwt.secret"),
        ('[redis]\nurl = "redis://:word@host"', "redis.url"),
        ('[databases.d]\nurl = "postgresql://u:word@host/d"', "databases.d.url"),
        ('[databases.d]\nurl = "postgresql://u@host/d?sslmode=require&password=word"', "databases.d.url"),
        ('[databases.d]\nurl = "postgresql://u@host/d?sslpassword=word"', "databases.d.url"),
        ('[databases.d]\nurl = "postgresql:///d?host=a,b&user=u&pass%77ord=word"', "databases.d.url"),
        ('[databases.d]\nurl = "postgresql://u@h/d"\npassword = "word"', "databases.d.password"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path, toml: str, place: str) -> None:
    (mistake,) = mistakes(tmp_path, toml)
    assert mistake.startswith(f"{place}: a secret does not belong in the file; set CARECASE_")
    assert "word" not in mistake.removeprefix(place).replace("PASSWORD", "")


def test_a_secret_in_a_url_that_is_not_valid_is_reported_as_both(tmp_path: Path) -> None:
    messages = mistakes(tmp_path, '[redis]\nurl = "redis://:hush@[host"')
    assert [line.split()[:3] for line in messages] == [["redis.url:", "a", "secret"], ["redis.url:", "must", "be"]]
    assert "hush" not in "".join(messages)


@pytest.mark.parametrize(
    ("toml", "mistake"),
    [
        ("intake = 5", "intake: must be a section, as [intake]"),
        ("databases = 3", "databases: must be a section, as [databases.NAME]"),
        ("[databases]\nd = 'x'", "databases.d: must be a section, as [databases.d]"),
    ],
)
def test_a_variable_does_not_hide_that_its_section_is_none(tmp_path: Path, toml: str, mistake: str) -> None:
    assert mistakes(tmp_path, toml, INTAKE_PORT="1", DATABASES_D_URL="sqlite:///d") == [mistake]


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    messages = mistakes(
        tmp_path,
        '[intake]\nprot = 1\nport = 99999\n[jbos]\nwidth = 1\n[clients.a]\ndatabases = ["nowhere"]',
        REDIS_URI="redis://h",
    )
    beginnings = (
        "CARECASE_REDIS_URI: no such setting; did you mean CARECASE_REDIS_URL?",
        "clients.a.databases: 'nowhere' is not a configured database",
        "intake.prot: no such setting; did you mean port?",
        "intake.port: must be a whole number from 0 to 65535",
        "jbos: no such section; did you mean jobs?",
    )
    assert len(messages) == len(beginnings)
    assert all(any(line.startswith(beginning) for line in messages) for beginning in beginnings), messages


def test_a_mistake_in_the_environment_is_named_by_its_variable(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, "[intake]\nport = 1", INTAKE_PORT="x")
    assert mistake == ("intake.port: must be a whole number from 0 to 65535 (in the environment: CARECASE_INTAKE_PORT)")
    (secret,) = mistakes(tmp_path, JWT_SECRET_FILE=str(tmp_path / "nowhere"))
    assert secret.startswith("CARECASE_JWT_SECRET_FILE: the file it names cannot be read")


def test_every_setting_can_be_given_by_the_environment() -> None:
    example = tomllib.loads(EXAMPLE.read_text())
    variables = {
        "_".join(("CARECASE", section, leaf)).upper(): ",".join(value)
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for section, settings in example.items()
        if section not in ("databases", "clients")
        for leaf, value in settings.items()
    }
    assert len(variables) > 20
    assert load(environment=variables) == Settings()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "cannot be read (it is not text)"),
        (None, "cannot be read (No"),
    ],
)
def test_a_file_that_holds_no_secret_is_reported(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    (mistake,) = mistakes(tmp_path, REDIS_URL_FILE=str(tmp_path / "url"))
    assert mistake.startswith("CARECASE_REDIS_URL_FILE: the file it names ")
    assert words in mistake


@pytest.mark.parametrize("name", ["INTAKE_HOST", "REDIS_URL", "JWT_SECRET", "FLOWER_PASSWORD", "WORKER_CONCURRENCY"])
@pytest.mark.parametrize("value", ["", "\n"])
def test_a_variable_that_is_empty_is_reported(tmp_path: Path, name: str, value: str) -> None:
    (mistake,) = mistakes(tmp_path, **{name: value})
    assert mistake.startswith(f"CARECASE_{name}: is empty")


def test_white_space_around_a_value_of_the_environment_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" pass word \r\n")
    settings = loaded(
        tmp_path,
        INTAKE_PORT=" 8081\n",
        INTAKE_HOST="0.0.0.0\n",
        REDIS_URL="redis://h\n",
        INTAKE_REQUIRE_USER_AGENT="true\n",
        INTAKE_CORS_ORIGINS=" https://a, https://b\n",
        FLOWER_PASSWORD_FILE=f"{tmp_path / 'password'}\n",
    )
    assert (settings.intake.port, settings.intake.host) == (8081, "0.0.0.0")
    assert settings.redis.url.get_secret_value() == "redis://h"
    assert settings.intake.require_user_agent
    assert settings.intake.cors_origins == ("https://a", "https://b")
    assert settings.flower.password is not None
    assert settings.flower.password.get_secret_value() == " pass word "


def test_a_secret_that_is_given_twice_is_reported(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s" * 32)
    (mistake,) = mistakes(tmp_path, JWT_SECRET="s" * 32, JWT_SECRET_FILE=str(tmp_path / "secret"))
    assert mistake == "CARECASE_JWT_SECRET_FILE: CARECASE_JWT_SECRET is set already; set one of them"


def test_a_variable_that_could_be_of_several_databases_is_reported(tmp_path: Path) -> None:
    """Else one of two would have the other's password."""
    toml = "[databases.south-2]\nurl = 'sqlite:///a'\n[databases.South_2]\nurl = 'sqlite:///b'"
    (mistake,) = mistakes(tmp_path, toml, DATABASES_SOUTH_2_PASSWORD="x")
    assert mistake == (
        "CARECASE_DATABASES_SOUTH_2_PASSWORD: could be of databases.South_2 or databases.south-2; rename all but one"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[intake", "is not TOML"),
        (b"[intake]\nport = 1\nport = 2", "is not TOML"),
        (b"\xff", "is not TOML, which is text in UTF-8"),
        ("[intake]".encode("utf-16"), "is not TOML"),
        (b"a = " + b"[" * 100_000, "nested too deep"),
        (b"a = " + b"1" * 5000, "is not TOML"),
        (None, "cannot be read"),
    ],
)
def test_an_unreadable_file_is_reported(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "carecase.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        load(file, {})


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read \\(Is a directory\\)"):
        load(tmp_path, {})
    with pytest.raises(SettingsError, match="cannot be read"):
        load(environment={"CARECASE_CONFIG": str(tmp_path)})


def test_a_byte_order_mark_before_the_file_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "carecase.toml").write_bytes(b"\xef\xbb\xbf[intake]\nport = 1")
    assert load(tmp_path / "carecase.toml", {}).intake.port == 1


def test_the_client_variables_are_not_taken_for_settings(tmp_path: Path) -> None:
    loaded(tmp_path, URL="http://x", API_KEY="k", TOKEN="t", DATABASE="d")


def test_the_example_documents_every_setting_with_its_default() -> None:
    text = EXAMPLE.read_text()
    settings = load(EXAMPLE, {})
    for section, leaf, description in setting_names():
        assert f"# {description}.\n" in text, f"{section}.{leaf}"
        assert re.search(rf"^(# )?{leaf}\b", text, flags=re.MULTILINE), f"{section}.{leaf}"
    assert settings.model_copy(update={"databases": {}, "clients": {}}) == Settings()
    (database,) = settings.databases.values()
    assert database == DatabaseSettings.model_validate({"url": database.url.get_secret_value()})
    assert dict(settings.clients) == {"demo": ClientSettings.model_validate({"databases": ["demo"]})}


def test_the_page_of_the_configuration_names_every_setting() -> None:
    named = {f"{section.replace('<name>', 'NAME')}.{leaf}" for section, leaf, _ in setting_names()}
    assert named - set(re.findall(r"`([\w.]+)`", PAGE.read_text())) == set()


def test_every_setting_is_used() -> None:
    source = ROOT / "src" / "carecase_worker"
    code = "".join(module.read_text() for module in source.rglob("*.py"))
    fields = {name for model in (*PLAIN.values(), *NAMED.values()) for name in model.model_fields}
    assert {name for name in fields if not re.search(rf"\.{name}\b", code)} == set()


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
def test_a_key_that_cannot_seal_is_refused_and_not_shown(tmp_path: Path, keys: str, word: str) -> None:
    (mistake,) = mistakes(tmp_path, ENCRYPTION_KEYS=keys)
    assert mistake.startswith("encryption.keys: ")
    assert word in mistake
    assert keys.rpartition(":")[2] not in mistake.replace("base64", "")


def test_keys_come_in_order_by_commas_or_lines(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"new:{'B' * 43}=\n{KEY}\n")
    assert list(loaded(tmp_path, ENCRYPTION_KEYS_FILE=str(tmp_path / "keys")).encryption.by_id) == ["new", "k1"]
    assert dict(loaded(tmp_path, ENCRYPTION_KEYS=KEY).encryption.by_id) == {"k1": bytes(32)}
    assert not loaded(tmp_path).encryption.by_id


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
        DATABASES_E_URL="postgresql://u@h/d",
        DATABASES_E_PASSWORD=secret,
    )
    for printed in (repr(settings), str(settings), settings.model_dump_json(), *map(repr, settings.databases.values())):
        assert secret not in printed
        assert KEY not in printed
