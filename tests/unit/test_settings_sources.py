"""Where settings come from: which file, which variables, and which of them are passed on to whom."""

from pathlib import Path

import pytest

from carecase_worker.settings import loading
from carecase_worker.settings.loading import load, printable, sources

VARIABLES = {
    "PATH": "/bin",
    "CARECASE_CONFIG": "given.toml",
    "CARECASE_URL": "http://h",
    "CARECASE_API_KEY": "",
    "CARECASE_TOKEN": "t",
    "CARECASE_DATABASE": "d",
    "CARECASE_INTAKE_PORT": "1",
    "CARECASE_NONSENSE": "2",
    "carecase_intake_port": "3",
}
NO_FILE = "no file (neither --config nor CARECASE_CONFIG names one)"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in loading.process_environment() if name not in VARIABLES]:
        monkeypatch.delenv(name)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
def test_each_reader_of_the_environment_gets_its_own_part() -> None:
    assert loading.client_variables() == {
        "CARECASE_URL": "http://h",
        "CARECASE_TOKEN": "t",
        "CARECASE_DATABASE": "d",
    }
    assert loading.settings_variables() == {"CARECASE_INTAKE_PORT": "1", "CARECASE_NONSENSE": "2"}
    passed_on = {name: value for name, value in loading.process_environment().items() if name in VARIABLES}
    assert passed_on == {"PATH": "/bin", "carecase_intake_port": "3"}
    assert loading.named_file() == Path("given.toml")
    assert sources() == "given.toml (CARECASE_CONFIG), and 2 variables CARECASE_…"


@pytest.mark.parametrize(
    ("path", "variables", "places"),
    [
        (None, {}, f"{NO_FILE}, and no variables"),
        (None, {"CARECASE_CONFIG": " "}, f"{NO_FILE}, and no variables"),
        (None, {"CARECASE_CONFIG": " a.toml\n", "CARECASE_URL": "u"}, "a.toml (CARECASE_CONFIG), and no variables"),
        ("b.toml", {"CARECASE_CONFIG": "a", "CARECASE_X": "1", "X": "1"}, "b.toml (--config), and 1 variable"),
        ("b\n.toml", {"CARECASE_X": "1", "CARECASE_Y": "1"}, "b\\n.toml (--config), and 2 variables"),
    ],
)  # fmt: skip
def test_the_places_that_were_read_are_named(path: str | None, variables: dict[str, str], places: str) -> None:
    assert sources(Path(path) if path else None, variables) == f"{places} CARECASE_…"


@pytest.mark.usefixtures("environment")
def test_a_file_that_is_given_counts_before_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARECASE_NONSENSE")
    monkeypatch.setenv("CARECASE_CONFIG", f"{tmp_path}/named.toml")
    (tmp_path / "named.toml").write_text("[intake]\nhost = '10.0.0.1'\nport = 5")
    (tmp_path / "given.toml").write_text("[intake]\nhost = '10.0.0.2'\nport = 5")
    assert [load(file).intake.host for file in (None, tmp_path / "given.toml")] == ["10.0.0.1", "10.0.0.2"]
    assert load().intake.port == 1
    assert load(environment={}).intake.port == 8080


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b ä€", "a b ä€"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m\u202e", "\\x1b[31m\\u202e"),
        ("\udcff", "\\udcff"),
        ("", ""),
    ],
)
def test_what_cannot_be_shown_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_events_of_a_webhook_come_by_commas() -> None:
    given = {"CLIENT": "c", "URL": "https://h/w", "EVENTS": "job.completed, job.cancelled"}
    settings = load(environment={f"CARECASE_WEBHOOKS_CRM_{name}": value for name, value in given.items()})
    assert settings.webhooks["crm"].events == ("job.completed", "job.cancelled")
