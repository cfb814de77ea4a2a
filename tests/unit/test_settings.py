"""Settings: TOML, environment over it, secrets by environment or file only, every mistake named."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import ClientSettings, DatabaseSettings, Settings
from carecase_worker.settings.places import leaves

KINDS = [
    ("[intake]\nport = true", "a whole number from 0 to 65535"),
    ("[intake]\nport = 1.5", "a whole number"),
    ("[intake]\nport = []", "a whole number"),
    ("[intake]\nport = 99999999999999999999999", "a whole number"),
    ("[intake]\nmax_items = 0", "a whole number from 1 to 1000000"),
    ("[intake]\nmax_header_bytes = 5", "a whole number from 1024 to "),
    ("[intake]\nmax_wait_seconds = true", "a number of seconds"),
    ("[intake]\nmax_wait_seconds = nan", "a number of seconds"),
    ("[intake]\nmax_wait_seconds = inf", "a number of seconds"),
    ("[intake]\nmax_wait_seconds = 1e300", "a number of seconds from 0.001 to 315360000"),
    ("[intake]\nmax_wait_seconds = -1", "a number of seconds"),
    ("[intake]\nmax_wait_seconds = 1e-9", "a number of seconds"),
    ("[intake]\nmax_wait_seconds = 07:32:00", "a number of seconds"),
    ("[intake]\nrate_per_second = nan", "a number from 0 to "),
    ("[intake]\nrequire = 'neither'", "both or either"),
    ("[intake]\nrequire_user_agent = 'perhaps'", "true or false"),
    ("[intake]\nhost = 5", "text"),
    ("[intake]\nhost = 'a b'", "a host's name or its address"),
    ("[intake]\nhost = ''", "a host's name or its address"),
    ("[intake]\nhost = '127.0.0.1:8080'", "a host's name or its address"),
    ("[intake]\ncors_origins = 'https://h'", "a list"),
    ("[intake]\ncors_origins = [5]", "a list"),
    ("[intake]\nroot_path = '/a b'", "must be a path"),
    ("[intake]\nroot_path = '/a/../b'", "must be a path"),
    ("[intake]\nroot_path = 'https://h/a'", "must be a path"),
    ("[intake]\ntrusted_proxies = ['proxy.example']", "addresses or networks, as 10.0.0.7"),
    ("[intake]\ntrusted_proxies = ['10.0.0.1/8']", "addresses or networks"),
    ("[intake]\ntrusted_proxies = ['*']", "addresses or networks"),
    ("[intake]\ntrusted_proxies = '10.0.0.1'", "a list"),
    ("[worker]\nconcurrency = 100000", "from 1 to 1000"),
    ("[redis]\nurl = 5", "text"),
    ("[redis]\nurl = 1979-05-27", "text"),
    ("[redis]\nca_file = 5", "the path of a file"),
    ("[redis]\nprefix = 'a b'", "without spaces"),
    ("[jwt]\nalgorithms = ['HS512']", "a list of HS256, RS256 or ES256"),
    ("[jwt]\naudience = ''", "not empty"),
    ("[log]\nlevel = 'loud'", "debug, info, warning or error"),
    ("[flower]\nuser = 'a:b'", "must not have a colon"),
    ("[flower]\nurl_prefix = 'a b'", "must be a path"),
    ("[flower]\nurl_prefix = '/'", "must be a path"),
    ("[clients.a]\napi_key_sha256 = ['AB']", "carecase keys new"),
    ("[clients.a]\ndatabases = [['a']]", "a list"),
    ("[databases.d]\nurl = 5", "text"),
]
ONE_KEY = f"api_key_sha256 = ['{'a' * 64}']"
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
        ('[databases.d]\nurl = "postgresql://u@host/d?sslmode=require&password=word"', "databases.d.url"),
        ('[databases.d]\nurl = "postgresql://u@host/d?sslpassword=word"', "databases.d.url"),
        ('[databases.d]\nurl = "postgresql:///d?host=a,b&user=u&pass%77ord=word"', "databases.d.url"),
        ('[databases.d]\nurl = "postgresql://u@h/d"\npassword = "word"', "databases.d.password"),
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
        "intake.port: must be a whole number from 0 to 65535",
        "jbos: no such section; did you mean jobs?",
    )
    assert len(told) == len(beginnings)
    assert all(any(line.startswith(beginning) for line in told) for beginning in beginnings), told


def test_a_mistake_in_the_environment_is_told_by_the_variables_name(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, "[intake]\nport = 1", INTAKE_PORT="x")
    assert mistake == ("intake.port: must be a whole number from 0 to 65535 (in the environment: CARECASE_INTAKE_PORT)")
    (secret,) = mistakes(tmp_path, JWT_SECRET_FILE=str(tmp_path / "nowhere"))
    assert secret.startswith("CARECASE_JWT_SECRET_FILE: the file it names cannot be read")


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


@pytest.mark.parametrize(("toml", "words"), KINDS)
def test_a_value_of_another_kind_is_told_with_what_it_should_be(tmp_path: Path, toml: str, words: str) -> None:
    (mistake,) = mistakes(tmp_path, toml)
    section, _, setting = toml.partition("\n")
    assert mistake.startswith(f"{section.strip('[]')}.{setting.split(' ')[0]}: ")
    assert words in mistake


@pytest.mark.parametrize(
    ("toml", "places"),
    [
        ("[databases.d]\nurl = 'postgresql://u@h/d'\nstatement_timeout_seconds = 8.1", ["databases.d.statement"]),
        ("[databases.d]\nurl = 'postgresql://u@h/d'\nconnect_timeout_seconds = 11", ["databases.d.connect"]),
        ("[intake]\nport = 9000\n[flower]\nport = 9000", ["flower.port"]),
        ("[intake]\nport = 9000\nhost = '0.0.0.0'\n[flower]\nport = 9000", ["flower.port"]),
        ("[redis]\nprefix = 'b:'", ["broker.prefix"]),
        ("[redis]\nprefix = ''", ["broker.prefix"]),
        ("[broker]\nprefix = 'c:x'\nurl = 'redis://127.0.0.1'", ["broker.prefix"]),
        ("[flower]\nbroker_url = 'amqp://h'", ["flower.broker_url"]),
        ("[redis]\nca_file = 'nowhere'\ncert_file = '/'", ["redis.ca_file", "redis.cert_file"]),
        (f"[redis]\nca_file = '{'x' * 5000}'", ["redis.ca_file"]),
        (f"[redis]\nca_file = '{__file__}'", ["redis.ca_file"]),
        (f"[redis]\ncert_file = '{__file__}'", ["redis.cert_file"]),
        (f"[redis]\nkey_file = '{__file__}'", ["redis.key_file"]),
        (
            f"[clients.a]\napi_key_sha256 = ['{'a' * 64}']\n[clients.b]\napi_key_sha256 = ['{'a' * 64}']",
            ["clients.a", "clients.b"],
        ),
        ("[jwt]\nalgorithms = []", ["jwt.algorithms"]),
        ("[jwt]\nalgorithms = ['RS256']\njwks_file = '/etc/hostname'\njwks_url = 'https://h/k'", ["jwt.jwks_url"]),
        ("[intake]\nport = 'x'\n[jobs]\nlease_seconds = 5", ["intake.port", "jobs.lease_seconds"]),
        # what follows from a setting that is itself wrong is left until that is right
        ("[worker]\nchunk_deadline_seconds = 'x'\n[jobs]\nlease_seconds = 5", ["worker.chunk_deadline_seconds"]),
    ],
)
def test_settings_that_contradict_each_other_are_told(tmp_path: Path, toml: str, places: list[str]) -> None:
    told = mistakes(tmp_path, toml)
    assert len(told) == len(places)
    assert all(line.startswith(place) for line, place in zip(told, places, strict=True)), told


def test_a_broker_of_its_own_may_have_the_same_prefix(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[broker]\nprefix = 'c:'\nurl = 'redis://127.0.0.1/1'")


def test_a_password_of_a_database_without_one_is_told(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, DATABASES_D_URL="sqlite:///d", DATABASES_D_PASSWORD="word")
    assert mistake.startswith("databases.d.password: is not for SQLite")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "cannot be read (it is no text)"),
        (None, "cannot be read (No"),
    ],
)
def test_a_file_that_holds_no_secret_is_told(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    (mistake,) = mistakes(tmp_path, REDIS_URL_FILE=str(tmp_path / "url"))
    assert mistake.startswith("CARECASE_REDIS_URL_FILE: the file it names ")
    assert words in mistake


@pytest.mark.parametrize("name", ["INTAKE_HOST", "REDIS_URL", "JWT_SECRET", "FLOWER_PASSWORD", "WORKER_CONCURRENCY"])
@pytest.mark.parametrize("value", ["", "\n"])
def test_a_variable_that_is_empty_is_told(tmp_path: Path, name: str, value: str) -> None:
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


def test_a_secret_that_is_given_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s" * 32)
    (mistake,) = mistakes(tmp_path, JWT_SECRET="s" * 32, JWT_SECRET_FILE=str(tmp_path / "secret"))
    assert mistake == "CARECASE_JWT_SECRET_FILE: there is CARECASE_JWT_SECRET already; set one of them"


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
def test_an_unreadable_file_is_told(tmp_path: Path, content: bytes | None, words: str) -> None:
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
    for section, leaf, description in leaves():
        assert f"# {description}.\n" in text, f"{section}.{leaf}"
        assert re.search(rf"^(# )?{leaf}\b", text, flags=re.MULTILINE), f"{section}.{leaf}"
    assert settings.model_copy(update={"databases": {}, "clients": {}}) == Settings()
    (database,) = settings.databases.values()
    assert database == DatabaseSettings.model_validate({"url": database.url.get_secret_value()})
    assert dict(settings.clients) == {"demo": ClientSettings.model_validate({"databases": ["demo"]})}


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
        DATABASES_E_URL="postgresql://u@h/d",
        DATABASES_E_PASSWORD=secret,
    )
    for printed in (repr(settings), str(settings), settings.model_dump_json(), *map(repr, settings.databases.values())):
        assert secret not in printed
        assert KEY not in printed


@pytest.mark.parametrize(("deadline", "seconds"), [(10, 8), (5, 4), (7, 5.6)])
def test_a_statement_may_take_four_fifths_of_an_attempt(tmp_path: Path, deadline: float, seconds: float) -> None:
    toml = f"[worker]\nchunk_deadline_seconds = {deadline}\n[databases.d]\nurl = 'postgresql://u@h/d'"
    assert loaded(tmp_path, f"{toml}\nstatement_timeout_seconds = {seconds}")
    (mistake,) = mistakes(tmp_path, f"{toml}\nstatement_timeout_seconds = {seconds + 0.1}")
    assert f"must be at most {seconds:g}, that is 0.8 of worker.chunk_deadline_seconds" in mistake
