"""`carecase token new`: a token that the intake accepts, or a line that says what to do."""

import hashlib
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from tests.acceptance.system import COMMAND, System, run
from tests.builders import a_case, a_jwks, a_key_pair
from tests.plain_http import http_client

from carecase_worker.settings.loading import process_environment

SECRET = "0123456789abcdef0123456789abcdef"
CLIENTS = '[databases.demo]\nurl = "sqlite:///demo.sqlite"\n[clients.demo]\ndatabases = ["demo"]\n'


def token_new(
    place: Path, *arguments: str, config: str = CLIENTS, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run `carecase token new` with a configuration of its own."""
    (place / "carecase.toml").write_text(config)
    return subprocess.run(
        [*COMMAND, "token", "new", "--config", "carecase.toml", *arguments],
        cwd=place,
        env={**process_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_intake_accepts_the_token_and_takes_its_subject_for_the_user(system: System, first_key: int) -> None:
    token = run("token", "new", "--client", "demo", "--subject", "ada", cwd=system.place).stdout
    assert token.count("\n") == 1, "nothing but the token"
    headers = {
        "x-api-key": system.stack["clients"][0]["api_key"],
        "Authorization": f"Bearer {token.strip()}",
        "vbasoftware-database": "demo",
    }
    url = f"{system.stack['intake']['url']}/care-cases-batch"
    with http_client(headers=headers) as client:
        assert client.put(url, json=[a_case(first_key)], headers={"Prefer": "wait=20"}).status_code == 207
    assert system.query(f"SELECT entry_user FROM care_case WHERE case_key = {first_key}") == [("ada",)]
    other = run("token", "new", "--client", "other", cwd=system.place).stdout.strip()
    with http_client(headers={**headers, "Authorization": f"Bearer {other}"}) as client:
        assert client.put(url, json=[a_case(1)]).status_code == 401


def test_a_new_api_key_is_given_as_json_for_scripts(tmp_path: Path) -> None:
    made = json.loads(run("keys", "new", "acme", "--json", cwd=tmp_path).stdout)
    assert made["client"] == "acme"
    assert hashlib.sha256(made["apiKey"].encode()).hexdigest() == made["apiKeySha256"]


def test_the_token_has_what_the_configuration_asks_for(tmp_path: Path) -> None:
    config = f'{CLIENTS}[jwt]\nissuer = "https://issuer.example"\naudience = "carecase"\n'
    made = token_new(tmp_path, "--client", "demo", "--json", config=config, CARECASE_JWT_SECRET=SECRET)
    document = json.loads(made.stdout)
    claims = jwt.decode(document["token"], SECRET, ["HS256"], audience="carecase", issuer="https://issuer.example")
    assert (claims["sub"], claims["client_id"]) == ("demo", "demo") == (document["subject"], document["client"])
    assert claims["exp"] - claims["iat"] == timedelta(hours=8).total_seconds()
    assert datetime.fromisoformat(document["expiresAt"]).replace(microsecond=0) == datetime.fromtimestamp(
        claims["exp"], UTC
    )


RS_ONLY = CLIENTS + '[jwt]\nalgorithms = ["RS256"]\njwks_file = "issuer.json"\naudience = "a"\nissuer = "i"\n'


@pytest.mark.parametrize(
    ("config", "arguments", "secret", "words"),
    [
        (CLIENTS, ("--client", "nobody"), SECRET, "clients.nobody: is not configured (there are: demo)"),
        (CLIENTS, ("--client", "demo"), None, "set CARECASE_JWT_SECRET"),
        (RS_ONLY, ("--client", "demo"), None, "allows RS256 only, so tokens come from the issuer"),
        (CLIENTS, ("--client", "demo", "--expires", "2y"), SECRET, "as 30m, 8h, 30d or 4w"),
        (CLIENTS, ("--client", "demo", "--subject", ""), SECRET, "--subject"),
        (CLIENTS, ("--client", "demo", "--subject", "x" * 21), SECRET, "1 to 20 printable characters"),
        (CLIENTS, (), SECRET, "--client"),
    ],
)
def test_a_token_that_would_be_refused_is_not_made(
    tmp_path: Path, config: str, arguments: tuple[str, ...], secret: str | None, words: str
) -> None:
    (tmp_path / "issuer.json").write_bytes(a_jwks(one=a_key_pair("RS256")))
    variables = {} if secret is None else {"CARECASE_JWT_SECRET": secret}
    made = token_new(tmp_path, *arguments, config=config, **variables)
    assert (made.returncode, made.stdout) == (2, "")
    assert words in made.stderr
    assert "Traceback" not in made.stderr
