"""The units for systemd: read by systemd, hardened, and read by the service's own loader."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.deployment.units import ROOT, UNITS, lines
from tests.needs import need

from carecase_worker.intake.limits.descriptors import descriptors_fault
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings

_PAGE = ROOT / "docs" / "how-to" / "systemd.md"
SECRETS = {
    "carecase-intake": {"redis_password", "encryption_keys", "jwt_secret", "audit_keys"},
    "carecase-worker@": {"redis_password", "encryption_keys", "worker_postgres_password"},
    "carecase-flower": {"flower_password", "flower_redis_password"},
    "carecase-migrate": {"postgres_password"},
}
"""The files of each role's part, named as those of compose."""
_EXPOSURE = "20"
"""The most that systemd-analyze may find, of 100: a unit without any of this has 96."""
_KEYS = "k1:" + "A" * 43 + "="
_VALUE = "0123456789abcdef" * 4
_CONFIG = """
[redis]
url = "redis://carecase@127.0.0.1:6379/0"
[flower]
broker_url = "redis://flower@127.0.0.1:6379/0"
[databases.demo]
url = "postgresql+psycopg://carecase_worker@127.0.0.1:5432/demo"
"""


def environment(unit: str) -> dict[str, str]:
    """The variables that a unit sets."""
    return dict(pair.split("=", 1) for line in lines(unit, "Environment") for pair in line.split())


def settings(unit: str, place: Path) -> Settings:
    """What the service reads of a unit's variables, credentials and configuration."""
    for credential in lines(unit, "LoadCredential"):
        name = credential.partition(":")[0]
        (place / name).write_text(f"{_KEYS if name.endswith('_keys') else _VALUE}\n")
    variables = {
        name: value.replace("%d", str(place)).replace("%S", str(place)) for name, value in environment(unit).items()
    }
    assert variables["CARECASE_CONFIG"] == "/etc/carecase/carecase.toml"
    config = place / "carecase.toml"
    config.write_text(_CONFIG)
    return load(environment={**variables, "CARECASE_CONFIG": str(config)})


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a machine on which the units are installed."""
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree(UNITS, root / "etc" / "systemd" / "system")
    for target in ("sysinit", "basic", "shutdown", "network-online", "multi-user"):  # systemd's own
        (root / "etc" / "systemd" / "system" / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    program = root / "opt" / "carecase" / "bin" / "carecase"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return root


def analyze(*arguments: str) -> str:
    """What systemd-analyze prints; it must have nothing to refuse."""
    program = need("systemd-analyze", "systemd")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def test_systemd_understands_every_line(machine: Path) -> None:
    units = [f"{unit}1.service" if unit.endswith("@") else f"{unit}.service" for unit in SECRETS]
    assert analyze("verify", "--man=no", f"--root={machine}", *units, "carecase.target") == ""
    there = {path.name for path in UNITS.iterdir() if path.is_file()}
    assert there == {"carecase.target", "sysusers.conf", *(f"{unit}.service" for unit in SECRETS)}


def test_systemd_would_report_a_line_that_it_does_not_know(machine: Path) -> None:
    drop_in = machine / "etc" / "systemd" / "system" / "carecase-.service.d" / "wrong.conf"
    drop_in.write_text("[Service]\nProtectSystme=strict\n")
    try:
        assert "Unknown key 'ProtectSystme'" in analyze("verify", f"--root={machine}", "carecase-intake.service")
    finally:
        drop_in.unlink()


@pytest.mark.parametrize("unit", SECRETS)
def test_a_unit_may_do_little(unit: str, machine: Path) -> None:
    name = f"{unit}1.service" if unit.endswith("@") else f"{unit}.service"
    analyze("security", "--no-pager", "--offline=true", f"--threshold={_EXPOSURE}", f"--root={machine}", name)


@pytest.mark.parametrize("unit", SECRETS)
def test_what_keeps_it_from_doing_harm_is_there(unit: str) -> None:
    for name, value in {
        "User": "carecase",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        "LimitCORE": "0",
        "MemorySwapMax": "0",
    }.items():
        assert lines(unit, name) == [value]
    assert lines(unit, "MemoryMax")
    assert lines(unit, "ReadWritePaths") == []
    assert lines(unit, "StateDirectory") == (["carecase/audit"] if unit == "carecase-intake" else [])


def test_workers_of_a_machine_see_each_other() -> None:
    """A worker takes back what a process holds that is not in /proc; see worker/processes/process_identity.py."""
    assert lines("carecase-worker@", "ProtectProc") == ["default"]
    assert lines("carecase-worker@", "DynamicUser") == lines("carecase-worker@", "ProcSubset") == []


@pytest.mark.parametrize("unit", SECRETS)
def test_every_setting_that_a_unit_names_exists(unit: str, tmp_path: Path) -> None:
    read = settings(unit, tmp_path)
    demo = read.databases["demo"]
    assert (read.jwt.secret is not None, bool(read.audit.by_id)) == ((unit == "carecase-intake"),) * 2
    assert (read.audit.directory is not None) == (unit == "carecase-intake")
    assert bool(read.encryption.by_id) == (unit in ("carecase-intake", "carecase-worker@"))
    assert (demo.password is not None) == (unit in ("carecase-worker@", "carecase-migrate"))
    owner = demo.url.get_secret_value().startswith("postgresql+psycopg://carecase@")
    assert owner == (unit == "carecase-migrate")
    assert (read.flower_broker_url == f"redis://flower:{_VALUE}@127.0.0.1:6379/0") == (unit == "carecase-flower")


@pytest.mark.parametrize("unit", SECRETS)
def test_a_unit_has_the_secrets_of_its_part_as_credentials_and_no_other(unit: str) -> None:
    credentials = dict(line.split(":", 1) for line in lines(unit, "LoadCredential"))
    assert set(credentials.values()) == {f"/etc/carecase/secrets/{name}" for name in SECRETS[unit]}
    named = {value.removeprefix("%d/") for name, value in environment(unit).items() if name.endswith("_FILE")}
    assert named == set(credentials)
    assert all(value.startswith("%d/") for name, value in environment(unit).items() if name.endswith("_FILE"))


def test_any_other_secret_reaches_a_unit_by_a_drop_in_as_the_page_shows(tmp_path: Path) -> None:
    (drop_in,) = re.findall(r"```ini\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    (credential,) = re.findall(r"^LoadCredential=(\w+):/etc/carecase/secrets/\1$", drop_in, re.MULTILINE)
    (variable,) = re.findall(r"^Environment=(\w+_FILE)=%d/(?=\w+$)", drop_in, re.MULTILINE)
    (tmp_path / credential).write_text(f"whsec_{_VALUE}\n")
    config = tmp_path / "carecase.toml"
    config.write_text(_CONFIG + '[webhooks.crm]\nclient = "demo"\nurl = "https://crm.example.org/"\n')
    read = load(environment={"CARECASE_CONFIG": str(config), variable: str(tmp_path / credential)})
    assert read.webhooks["crm"].signing_secrets == (f"whsec_{_VALUE}",)


def test_an_upgrade_leaves_what_runs_alone_and_restarts_nothing_once_a_line_fails() -> None:
    *steps, restarts = _upgrade().splitlines()[1:]
    assert all(step.endswith(" &&") for step in steps)
    assert "systemctl start carecase-migrate &&" in steps
    assert "systemctl daemon-reload &&" in steps
    assert restarts.startswith("for unit in carecase-worker@1")
    assert "/opt/carecase/bin/pip" not in _PAGE.read_text()


def test_an_upgrade_installs_every_unit_and_leaves_what_was_edited(tmp_path: Path) -> None:
    place = tmp_path / "system"
    shutil.copytree(UNITS, place)
    names = [path.relative_to(UNITS) for path in UNITS.rglob("*") if path.is_file() and path.name != "sysusers.conf"]
    for name in names:
        (place / name).write_text("edited")
    copies = [line.removesuffix(" &&") for line in _upgrade().splitlines() if line.startswith("cp ")]
    script = "\n".join(copies).replace("/etc/systemd/system", str(place))
    subprocess.run(["sh", "-ec", script], cwd=ROOT, check=True)
    assert {name.name for name in names if (place / name).read_text() == "edited"} == {"databases.conf"}


def _upgrade() -> str:
    """The lines of the page's upgrade."""
    return str(re.findall(r"```sh\n(.*?)```", _PAGE.read_text(), re.DOTALL)[-1])


@pytest.mark.parametrize("unit", SECRETS)
def test_every_command_exists(unit: str) -> None:
    for command in lines(unit, "ExecStart"):
        program, *words = command.split()
        assert program == "/opt/carecase/bin/carecase"
        module = {"db": "databases"}.get(words[0], words[0])
        source = next((ROOT / "src" / "carecase_worker" / "cli").rglob(f"{module}.py")).read_text()
        assert f'command("{words[1]}")' in source if words[1:] else f"def {words[0]}(" in source


def test_whoever_is_stopped_has_time_to_end_what_it_does(tmp_path: Path) -> None:
    (of_worker,), (of_intake,) = (lines(unit, "TimeoutStopSec") for unit in ("carecase-worker@", "carecase-intake"))
    assert int(of_worker) > settings("carecase-worker@", tmp_path).worker.chunk_deadline.total_seconds() + 10
    assert int(of_intake) > 10, "uvicorn's graceful shutdown"
    assert lines("carecase-worker@", "KillMode") == ["mixed"], "the pool ends what it has in hand"
    assert lines("carecase-migrate", "TimeoutStartSec") == ["15min"], "an index of a large table, and a lock before it"


@pytest.mark.parametrize("unit", [unit for unit in SECRETS if unit != "carecase-migrate"])
def test_what_serves_comes_back_however_it_ended_and_goes_with_the_others(unit: str) -> None:
    assert lines(unit, "Restart") == ["always"]
    assert lines(unit, "StartLimitIntervalSec") == ["0"], "Redis may be away for longer than five tries"
    assert lines(unit, "PartOf") == lines(unit, "WantedBy") == ["carecase.target"]


def test_an_intake_may_have_a_descriptor_for_each_connection(tmp_path: Path) -> None:
    (most,) = lines("carecase-intake", "LimitNOFILE")
    assert descriptors_fault(settings("carecase-intake", tmp_path).intake.max_connections, int(most)) == ""


def test_what_is_written_is_for_its_user_alone() -> None:
    assert all(lines(unit, "UMask") == ["0077"] for unit in SECRETS)
    assert lines("carecase-intake", "StateDirectoryMode") == ["0700"]


def test_flower_reaches_this_machine_only() -> None:
    assert lines("carecase-flower", "IPAddressDeny") == ["any"]
    assert lines("carecase-flower", "IPAddressAllow") == ["localhost"]
