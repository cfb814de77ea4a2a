"""The configuration of a command beside a `carecase up`: that of the system, with the file that it was started with."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.integration.cli.commands import Carecase
from tests.integration.embedded.stacks import PORTS, Noon
from tests.services import Services

from carecase_worker.cli.configuration import settings_nearby, sources_nearby
from carecase_worker.embedded.stack import Stack, secrets_of
from carecase_worker.settings.sections.access import JwtSettings

WEBHOOK = '[webhooks.crm]\nclient = "demo"\nurl = "https://crm.example/hooks"\n'


@pytest.fixture
def stack(carecase: Carecase, tmp_path: Path) -> Stack:
    """A system that was started with c.toml; tests stand beside it."""
    place = tmp_path / ".carecase"
    place.mkdir()
    (tmp_path / "c.toml").write_text(WEBHOOK)
    made = Stack(place, PORTS, secrets_of(place), tmp_path / "c.toml")
    made.write({}, JwtSettings(secret=SecretStr(made.secrets.jwt)), Noon())
    return made


def test_it_has_the_servers_of_the_system_and_the_settings_of_its_file(stack: Stack) -> None:
    for config in (None, Path("c.toml")):
        settings = settings_nearby(config)
        assert settings.redis.url.get_secret_value() == stack.environment()["CARECASE_REDIS_URL"]
        assert list(settings.webhooks) == ["crm"]
        assert sources_nearby(config) == ".carecase/stack.json, of carecase up"


def test_a_secret_of_the_environment_is_there_once_the_file_is_named(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = f"whsec_{'A' * 43}="
    monkeypatch.setenv("CARECASE_WEBHOOKS_CRM_SECRETS", secret)
    settings = settings_nearby(Path("c.toml"))
    assert settings.redis.url.get_secret_value() == stack.environment()["CARECASE_REDIS_URL"]
    assert settings.webhooks["crm"].secrets is not None


def test_data_keys_are_wrapped_in_the_redis_of_the_system_and_not_in_another(
    stack: Stack, carecase: Carecase, servers: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no job is found there, and the old key is destroyed with all that it opens."""
    monkeypatch.setenv("CARECASE_ENCRYPTION_KEYS", f"k:{base64.b64encode(bytes(32)).decode()}")
    monkeypatch.setenv("CARECASE_REDIS_URL", servers.redis_url)
    ran = carecase("keys", "rewrap", "--config", "c.toml")
    assert (ran.status, ran.out) == (2, "")  # the system does not run
    assert ran.err.startswith("the job store ")
    assert "Configuration used: .carecase/stack.json, of carecase up." in ran.err


def test_another_file_is_another_configuration(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[redis]\nurl = "redis://127.0.0.1:1/0"\n')
    assert settings_nearby(Path("other.toml")).redis.url.get_secret_value() == "redis://127.0.0.1:1/0"
    (stack.data_dir / "stack.json").write_text("{}")
    assert settings_nearby(Path("other.toml")).redis.url.get_secret_value() == "redis://127.0.0.1:1/0"


def test_whoever_has_configured_something_by_variables_gets_that_and_not_the_system_nearby(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `carecase db upgrade`, meant for production, would say of the demo that it is up to date."""
    monkeypatch.setenv("CARECASE_REDIS_URL", "redis://127.0.0.1:1/0")
    assert settings_nearby(None).redis.url.get_secret_value() == "redis://127.0.0.1:1/0"
    assert sources_nearby(None).startswith("no file")
    monkeypatch.delenv("CARECASE_REDIS_URL")
    monkeypatch.setenv("CARECASE_CONFIG", "c.toml")
    assert "stack.json" not in sources_nearby(None)


def test_a_variable_leads_the_commands_of_a_system_to_no_other_servers(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECASE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CARECASE_DATABASES_DEMO_URL", "sqlite:///elsewhere.sqlite")
    settings = settings_nearby(Path("c.toml"))
    assert settings.redis.url.get_secret_value() == stack.environment()["CARECASE_REDIS_URL"]
    assert settings.databases["demo"].url.get_secret_value() == stack.database_urls()["demo"]
