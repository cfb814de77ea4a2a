"""`carecase doctor`: a line for each thing, what to do about it, and an exit status."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.system import COMMAND, System, eventually, run
from tests.services import Services

from carecase_worker.settings.loading import process_environment

SECRET = "Winterfylleth-0123456789-Winterfylleth"


def doctor(cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**process_environment(), **{f"CARECASE_{name}": value for name, value in variables.items()}}
    return subprocess.run(
        [*COMMAND, "doctor"], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def lines(ran: "subprocess.CompletedProcess[str]", grade: str) -> list[str]:
    return [line.removeprefix(f"{grade:<5} ") for line in ran.stdout.splitlines() if line.startswith(f"{grade} ")]


def test_a_system_that_is_well_is_found_well(system: System) -> None:
    ran = eventually(lambda: (one := run("doctor", cwd=system.place)).returncode == 0 and one)
    assert lines(ran, "fix") == []
    assert not [line for line in lines(ran, "hint") if "more than the service needs" in line]
    abouts = [line.partition(": ")[0] for line in lines(ran, "ok")]
    assert sorted(abouts) == ["broker", "configuration", "databases.demo", "databases.demo_sqlite", "redis", "workers"]
    for secret in json.loads((system.data_dir / "secrets.json").read_text()).values():
        assert not isinstance(secret, str) or secret not in ran.stdout + ran.stderr


def test_what_is_away_is_reported(system: System) -> None:
    redis = system.pid("redis")
    system.kill(redis, signal.SIGSTOP)
    try:
        ran = run("doctor", cwd=system.place)
    finally:
        system.kill(redis, signal.SIGCONT)
    assert ran.returncode == 1
    (faults,) = lines(ran, "fix")
    assert faults.startswith("redis: ")
    assert "check that Redis runs" in faults
    assert "broker and workers are not checked before that is fixed" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("1 thing to fix, ")


def test_a_wrong_password_of_redis_is_reported_once(servers: Services, tmp_path: Path) -> None:
    ran = doctor(tmp_path, REDIS_URL=servers.redis_url.replace(":secret@", ":wrong@"), JWT_SECRET=SECRET)
    assert ran.returncode == 1
    faults = [line for line in lines(ran, "fix") if not line.startswith(("clients", "databases"))]
    assert [line.partition(": ")[0] for line in faults] == ["redis"]
    assert "refuses the credentials; check redis.url" in faults[0]
    assert "wrong" not in ran.stdout


def test_a_broker_of_its_own_is_looked_at_all_the_same(servers: Services, tmp_path: Path) -> None:
    ran = doctor(tmp_path, REDIS_URL="redis://127.0.0.1:1/0", BROKER_URL=servers.redis_url, JWT_SECRET=SECRET)
    assert any(line.startswith("broker: ") for line in lines(ran, "ok"))
    assert "workers are not checked" in ran.stdout


def test_it_says_which_configuration_and_urls_it_looked_at(servers: Services, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[intake]\nport = 8081\n")
    ran = doctor(tmp_path, CONFIG="c.toml", REDIS_URL=servers.redis_url, DATABASES_D_URL=servers.postgres_url)
    address, postgres = servers.redis_url.partition("@")[2], servers.postgres_url.partition("@")[2]
    assert "by c.toml (CARECASE_CONFIG), and 2 variables CARECASE_…" in ran.stdout
    assert f"redis: redis://{address} is reachable" in ran.stdout
    assert f"postgresql://{postgres}" in ran.stdout
    assert "secret" not in ran.stdout.replace("jwt.secret", "").replace("JWT_SECRET", "")


def test_what_is_wrong_is_reported_with_what_to_do_and_without_secrets(servers: Services, tmp_path: Path) -> None:
    ran = doctor(
        tmp_path,
        REDIS_URL=servers.redis_url,
        REDIS_PREFIX="doctor:",
        DATABASES_ONE_URL=servers.postgres_url.replace("/demo", "/nowhere").replace(":secret@", "@"),
        DATABASES_ONE_PASSWORD=SECRET,
        DATABASES_TWO_URL=f"sqlite:///{tmp_path}/empty.sqlite",
        CLIENTS_ANN_DATABASES="one",
        ENCRYPTION_KEYS="k:" + "A" * 43 + "=",
    )
    assert ran.returncode == 1
    faults = lines(ran, "fix")
    expected = [
        ("clients.ann", "carecase keys new ann"),
        ("jwt.secret", "CARECASE_JWT_SECRET"),
        ("databases.one", "rejects the user or the password"),
        ("databases.two", "run carecase db upgrade"),
        ("workers", "start: carecase worker"),
    ]
    for about, word in expected:
        assert [line for line in faults if line.startswith(f"{about}: ") and word in line], (about, faults)
    assert any("more than the service needs" in line for line in lines(ran, "hint"))
    assert SECRET not in ran.stdout + ran.stderr
    assert "AAAA" not in ran.stdout + ran.stderr


def test_every_mistake_in_the_configuration_is_a_line(tmp_path: Path) -> None:
    ran = doctor(tmp_path, INTAKE_PORT="x", REDIS_DURABILITY="none", JWT_SECRET="short")
    assert ran.returncode == 1
    assert [line.partition(": ")[0] for line in lines(ran, "fix")] == ["intake.port", "redis.durability", "jwt.secret"]
    (hint,) = lines(ran, "hint")
    assert hint.startswith("configuration: was read from no file")


@pytest.mark.parametrize("content", ["", "{}", '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'])
def test_keys_of_an_issuer_that_cannot_be_used_are_reported(servers: Services, tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    issuer = {"JWT_ALGORITHMS": "RS256", "JWT_JWKS_FILE": str(tmp_path / "keys.json"), "JWT_ISSUER": "i"}
    ran = doctor(tmp_path, REDIS_URL=servers.app_redis_url, JWT_AUDIENCE="a", **issuer)
    assert any(line.startswith("jwt.jwks_file: ") for line in lines(ran, "fix"))
    ran = doctor(tmp_path, REDIS_URL=servers.app_redis_url, **issuer)
    assert [line for line in lines(ran, "fix") if line.startswith("jwt.audience: must be set")]
