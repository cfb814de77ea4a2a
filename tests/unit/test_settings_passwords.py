"""Passwords beside their URLs: they arrive as they are, whatever signs they have, and never in two places at once."""

import pytest

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings
from carecase_worker.store.redis.connection import connect

SIGNS = ["p", "p@w", "p:w", "p/w", "p#w?x", "p%40w", "p w", "p;w", "$p&'\"\\", "pä€😀", "[p]"]
URL, PASSWORD = "CARECASE_REDIS_URL", "CARECASE_REDIS_PASSWORD"


def broker_password(settings: Settings, url: str | None = None) -> str | None:
    password: str | None = celery_app(settings, url).connection_for_write().password
    return password


@pytest.mark.parametrize("password", SIGNS)
def test_a_password_arrives_as_it_is(password: str) -> None:
    settings = load(
        environment={
            URL: "redis://u@h:1/2",
            PASSWORD: password,
            "CARECASE_FLOWER_BROKER_URL": "redis://flower@h:1/2",
            "CARECASE_FLOWER_BROKER_PASSWORD": f"other {password}",
        }
    )
    arrived = connect(settings.redis).get_connection_kwargs()
    assert {name: arrived[name] for name in ("username", "password", "host", "port", "db")} == {
        "username": "u",
        "password": password,
        "host": "h",
        "port": 1,
        "db": 2,
    }
    assert broker_password(settings) == password
    assert broker_password(settings, settings.flower_broker_url) == f"other {password}"


@pytest.mark.parametrize("url", ["redis://h", "rediss://h:1/0", "redis://@h", "redis://[::1]:1/0"])
def test_a_password_needs_no_user(url: str) -> None:
    settings = load(environment={URL: url, PASSWORD: "p@"})
    assert connect(settings.redis).get_connection_kwargs()["password"] == "p@"


def test_a_broker_of_its_own_has_its_own_password() -> None:
    environment = {URL: "redis://h", PASSWORD: "p", "CARECASE_BROKER_URL": "amqp://u@b//"}
    assert broker_password(load(environment=environment)) != "p"
    assert broker_password(load(environment={**environment, "CARECASE_BROKER_PASSWORD": "q@"})) == "q@"


@pytest.mark.parametrize("url", ["postgresql://u:p@h/d", "postgresql://u@h/d?password=p", "postgresql:///d?password=p"])
def test_a_password_of_a_database_is_given_once(url: str) -> None:
    environment = {"CARECASE_DATABASES_D_URL": url}
    assert load(environment=environment).databases["d"].password is None
    with pytest.raises(SettingsError) as caught:
        load(environment={**environment, "CARECASE_DATABASES_D_PASSWORD": "q"})
    (mistake,) = str(caught.value).splitlines()
    assert mistake.startswith("databases.d.password: the URL has a password already")


def test_a_password_goes_with_a_url_that_names_other_files_and_keys() -> None:
    url = "postgresql://u@h/d?passfile=/x&sslkey=/k&sslpassword=of+the+key"
    assert load(environment={"CARECASE_DATABASES_D_URL": url, "CARECASE_DATABASES_D_PASSWORD": "q"})


def test_blanks_at_the_ends_are_part_of_a_password() -> None:
    environment = {"CARECASE_FLOWER_BROKER_URL": "redis://flower@h", "CARECASE_FLOWER_BROKER_PASSWORD": " p w \n"}
    password = load(environment=environment).flower.broker_password
    assert password is not None
    assert password.get_secret_value() == " p w "
