"""URLs in the settings: what is taken can be used by whoever gets it, what cannot is refused by its setting's name."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings
from carecase_worker.settings.places import setting_names
from carecase_worker.store.redis.connection import connect
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.tenants import tenants_of

REDIS_AND_BROKER = ("CARECASE_REDIS_URL", "CARECASE_BROKER_URL", "CARECASE_FLOWER_BROKER_URL")
NO_REDIS = [
    "http://x", "localhost:6379", "localhost", "6379", "://", "redis:", "redis:/h", "redis://", "redis:///0",
    "redis://h:port", "redis://h:", "redis://h:0", "redis://h:65536", "redis://h:-1", "redis://h:6379:1", "redis://h:６",
    "redis://h/x", "redis://h/0/1", "redis://h/-1", "redis://h/0?db=x", "redis://h?db=1", "redis://h?socket_timeout=x",
    "redis://h?nonsense=1", "rediss://h?ssl_cert_reqs=none", "redis://h#0", "redis://u:p#w@h", "redis://u:p/w@h",
    "redis://u:p?w@h", "redis://u:p;w@h", "redis://u:[w@h", "redis://[::1", "redis://[::g]", "redis://::1",
    "redis://a b",
    "redis://a..b", "redis://-a", f"redis://{'a' * 64}", "redis://h\tx", "redis://h%00", "redis://u:%0a@h", "redis://ü;h",
    "unix://", "unix:///", "unix://h/s", "unix:///s?db=x", "unix:///s?timeout=1", "redis+socket://", "sentinel://h",
    "redis+cluster://h", "memory://", "REDIS//h", "redis://h,i:6379",
]  # fmt: skip
NO_TARGET = [
    "mysql://u@h/d", "nonsense", "postgres://u@h/d", "postgresql:", "postgresql://u@h", "postgresql://u@h/",
    "postgresql://u@h:port/d", "postgresql://u@h:/d", "postgresql://u@h:0/d", "postgresql://u@h:99999/d",
    "postgresql://u@a..b/d", "postgresql://u@[::g]/d", "postgresql://u@h /d", "postgresql://u@h\n/d", "sqlite:///d\tx",
    "sqlite:///d%0A", "postgresql://u@h/d%00", "postgresql:///",
    "postgresql://h/d?port=x", "postgresql:///d?host=a:1&host=b:x", "postgresql:///d?host=a:1&host=b&port=2",
    "postgresql:///d?host=a,b&port=1,2,3", "postgresql://u:p@w@h/d", "sqlite", "sqlite:", "sqlite://", "sqlite:///",
    "sqlite:///:memory:", "sqlite://h/d", "sqlite://d", "sqlite:///d/", "sqlite:///d?timeout=x", "sqlite:///d%00",
    "sqlite:///?a", "sqlite://u:p@/d", "sqlite://:5/d",
]  # fmt: skip
NO_KEY_SET = [
    "http://issuer/keys", "file:///etc/passwd", "issuer/keys", "https://", "https://h:port/k", "https://h:0/k",
    "https://[h/k", "https://a..b/k", "https://u:p@h/k", "https://h/k k", "https://h/k\x7f", "https://h/é", "http://",
]  # fmt: skip
NO_ORIGIN = [
    "*", "null", "h", "h:80", "https://", "https://h/", "https://h/app", "https://h?", "https://H", "https://h:443",
    "http://h:80", "https://h:x", "https://u@h", "https://*.h", "ftp://h",
]  # fmt: skip
TARGETS = [
    "postgresql://u@h/d", "postgresql+psycopg://u:p%40w@h:5432/d", "postgresql://u:p#w/x?y@h/d", "postgresql://[::1]:5432/d",
    "postgresql:///d", "postgresql:///d?host=/run/postgresql", "postgresql:///d?host=a:1&host=b:2",
    "postgresql:///d?host=a,b&port=1,2", "postgresql://u@h?dbname=d", "postgresql:///?service=s", "postgresql://u@a,b/d",
    "postgresql://h/d?sslmode=verify-full&options=-csearch_path%3Dx", "sqlite:///d.sqlite", "sqlite:////d.sqlite",
    "sqlite+pysqlite:///d", "postgresql://ü:ü@h/ü", "sqlite:////a b/ü\u3000\u00a0/d e.sqlite", "sqlite:///a%20b",
    "postgresql://u:p w@h/d b",
]  # fmt: skip
REDISES = [
    "redis://h", "redis://h/", "redis://h:6379/15", "redis://u:p@h", "redis://:p@h", "redis://u:p%3B%2F%23@h", "redis://u:p@w:x@h",
    "redis://[::1]:6379", "rediss://h", "redis://127.0.0.1", "redis://a.b-c_d.", "unix:///run/redis.sock", "unix:///s?db=2",
    "redis+socket:///s?virtual_host=2", "unix://u:p@/run/r%20s",
]  # fmt: skip


def used(settings: Settings) -> None:
    """Make of the settings what the roles make of them, as far as that asks nobody."""
    connect(settings.redis).close()
    Notifier(celery_app(settings))
    flower = settings.flower.broker_url
    Notifier(celery_app(settings, flower.get_secret_value() if flower else None))
    for tenant in tenants_of(settings.databases).values():
        engine_for(tenant).dispose()


def refused(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environment=variables)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("url", NO_REDIS)
def test_a_url_that_leads_to_no_redis_is_reported(url: str) -> None:
    for variable, place in zip(REDIS_AND_BROKER, ("redis.url", "broker.url", "flower.broker_url"), strict=True):
        (mistake,) = refused(**{variable: url})
        assert mistake.startswith(f"{place}: must ")
        assert mistake.endswith(f" (in the environment: {variable})")


@pytest.mark.parametrize("url", NO_TARGET)
def test_a_url_that_leads_to_no_database_is_reported(url: str) -> None:
    (mistake,) = refused(CARECASE_DATABASES_DEMO_URL=url)
    assert mistake.startswith("databases.demo.url: must ")


@pytest.mark.parametrize("url", NO_KEY_SET)
def test_a_url_that_leads_to_no_keys_is_reported(url: str) -> None:
    (mistake,) = refused(CARECASE_JWT_JWKS_URL=url, CARECASE_JWT_ALGORITHMS="RS256")
    assert mistake.startswith("jwt.jwks_url: must be https://")


@pytest.mark.parametrize("origin", NO_ORIGIN)
def test_what_no_browser_sends_as_origin_is_reported(origin: str) -> None:
    (mistake,) = refused(CARECASE_INTAKE_CORS_ORIGINS=f"https://good,{origin}")
    assert mistake.startswith("intake.cors_origins: must be origins as browsers send them")


def test_no_password_is_shown_with_a_url_that_is_refused() -> None:
    secret = "Winterfylleth"
    messages = refused(
        CARECASE_REDIS_URL=f"redis://u:{secret}@h:port",
        CARECASE_BROKER_URL=f"amqp://u:{secret}@h:port",
        CARECASE_FLOWER_BROKER_URL=f"redis://u:{secret}#x@h",
        CARECASE_DATABASES_D_URL=f"postgresql://u:{secret}@h:port/d",
    )
    assert len(messages) == 4
    assert secret not in str(messages)


@pytest.mark.parametrize("url", REDISES)
def test_job_store_and_broker_go_to_the_same_redis(url: str) -> None:
    settings = load(environment={"CARECASE_REDIS_URL": url})
    used(settings)
    store = connect(settings.redis).connection_pool.connection_kwargs
    broker = celery_app(settings).connection_for_write().info()
    if "path" in store:
        parts = urlsplit(broker["hostname"])
        assert (unquote(parts.path), parts.query) == (store["path"], f"virtual_host={store['db']}")
        assert (parts.username, parts.password) == (store.get("username"), store.get("password"))
    else:
        assert (broker["hostname"], broker["port"] or 6379) == (store["host"], store.get("port", 6379))
        assert int(broker["virtual_host"].strip("/") or 0) == store.get("db", 0)
        assert (broker["userid"], broker["password"]) == (store.get("username"), store.get("password"))


@pytest.mark.parametrize("url", TARGETS)
def test_a_url_that_leads_to_a_database_can_be_used(url: str) -> None:
    used(load(environment={"CARECASE_DATABASES_DEMO_URL": url}))


@pytest.mark.parametrize("url", ["amqp://u:p@h:5672/v", "amqps://h", "amqp://a;amqp://b"])
def test_a_broker_may_be_another_one(url: str) -> None:
    load(environment={"CARECASE_BROKER_URL": url})


WORDS = """redis rediss unix redis+socket amqp postgresql sqlite http https :// : / // /// @ h 127.0.0.1 [::1] [ ] 6379
    0 -1 x ? db= host= port= & = , ; # % %00 %2F %zz ü ． .. a u:p 99999 1e5 nan true"""
PIECES = st.sampled_from([*WORDS.split(), " ", "\n", "\t", "\x00", "\udcff"])
TEXTS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=12)
URLS = st.tuples(
    st.sampled_from(["redis://", "rediss://", "unix://", "redis+socket://", "amqp://", "postgresql://", "sqlite://"]),
    st.sampled_from(["", "u@", ":p@", "u:p@", "u:@@", "ü:ü@"]) | TEXTS,
    st.sampled_from(["h", "", "[::1]", "127.0.0.1", "a,b"]) | TEXTS,
    st.sampled_from(["", ":1", ":x", ":", ":99999"]),
    st.sampled_from(["", "/", "/0", "/d", "//d", "///d"]) | TEXTS,
    st.sampled_from(["", "?", "?db=1", "?host=a", "?host=a:1&host=b", "?port=1", "?timeout=1", "?x=y"]) | TEXTS,
).map("".join)
NUMBERS = st.integers() | st.floats() | st.booleans() | st.dates()
VALUES = TEXTS | URLS | NUMBERS | st.lists(TEXTS, max_size=2)
ALL = [(section.replace("<name>", "d"), leaf) for section, leaf, _ in setting_names()]


@st.composite
def configurations(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A file, more or less, and an environment."""
    lines = []
    for section, leaf in draw(st.lists(st.sampled_from(ALL), max_size=4)):
        lines.append(f"[{section}]\n{leaf} = {written(draw(VALUES))}\n")
    environment = {
        f"CARECASE_{section}_{leaf}".upper().replace(".", "_"): draw(URLS if "url" in leaf else TEXTS)
        for section, leaf in draw(st.lists(st.sampled_from(ALL), max_size=4))
    }
    return draw(st.sampled_from(["", "", "", "["])) + "".join(lines), environment


def written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return repr(value) if isinstance(value, int | float | str) else str(value)


@effort(max_examples=200)
@given(configurations())
def test_no_configuration_raises_anything_but_what_is_wrong_with_it(
    tmp_path_factory: pytest.TempPathFactory, configuration: tuple[str, dict[str, str]]
) -> None:
    toml, environment = configuration
    file = Path(tmp_path_factory.getbasetemp()) / "any.toml"
    file.write_text(toml, "utf-8", "surrogatepass")
    try:
        settings = load(file, environment)
    except SettingsError as error:
        lines = str(error).splitlines()
    else:
        lines = []
        used(settings)
    assert all(line.isprintable() for line in lines)


@effort(max_examples=300)
@given(st.sampled_from(["CARECASE_REDIS_URL", "CARECASE_BROKER_URL", "CARECASE_DATABASES_D_URL"]), URLS)
def test_whatever_url_is_taken_can_be_used(variable: str, url: str) -> None:
    try:
        settings = load(environment={variable: url})
    except SettingsError:
        return
    used(settings)
