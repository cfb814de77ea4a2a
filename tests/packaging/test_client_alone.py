"""The client alone: in an environment that has nothing but what it declares it sends, watches and reads."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.acceptance.system import System, run
from tests.builders import a_case
from tests.environments import COMPILE_ONCE, ROOT, UV, environment, run_uv

from carecase_worker.settings.loading import process_environment
from carecase_worker.version import VERSION

ROLES = ("up", "intake", "worker", "workers", "flower", "doctor", "keys", "token", "db")
MINE = (
    "env",
    "submit",
    "generate",
    "files",
    "drop",
    "failed",
    "resend",
    "status",
    "events",
    "result",
    "cancel",
    "retry",
    "jobs",
)
IMPORT_ALL = """
import importlib, pkgutil, carecase_worker
for module in pkgutil.walk_packages(carecase_worker.__path__, "carecase_worker."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
SEND = """
import os
from carecase_worker.client.api import connect
names = ("url", "api_key", "token", "database")
with connect(**{name: os.environ[f"CARECASE_{name.upper()}"] for name in names}) as client:
    print(client.wait(client.submit([{"case_Key": 1, "carePlan_Key": "wrong"}])).failed)
"""


def access(system: System) -> dict[str, str]:
    who = system.stack["clients"][0]
    return COMPILE_ONCE | {
        "CARECASE_URL": system.stack["intake"]["url"],
        "CARECASE_API_KEY": who["api_key"],
        "CARECASE_TOKEN": who["bearer"],
        "CARECASE_DATABASE": "demo",
    }


def test_its_commands_run(installed: Callable[[str, str], str], system: System, tmp_path: Path, first_key: int) -> None:
    command = [installed("carecase-client", "lowest")]

    def carecase(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
        return run(*arguments, cwd=tmp_path, command=command, variables=access(system), **options)

    batch = json.dumps([a_case(first_key), a_case(first_key + 1, case_Status="far too long")])
    sent = carecase("submit", "-", "--json", input=batch)
    job = json.loads(sent.stdout)
    assert (sent.returncode, job["created"], job["failed"]) == (1, 1, 1), sent.stderr
    job_id = job["jobId"]
    assert "completed" in carecase("status", job_id).stdout
    assert "case_Status: must have at most 8 characters" in carecase("result", job_id, "--failed").stdout
    assert job_id in carecase("jobs").stdout
    assert carecase("cancel", job_id).returncode == 2
    assert "nothing to retry" in carecase("retry", job_id).stderr
    assert len(json.loads(carecase("generate", "2").stdout)) == 2
    assert f"export CARECASE_URL={system.stack['intake']['url']}" in carecase("env").stdout


@pytest.mark.parametrize("way", ["as locked", "lowest"])
def test_every_module_of_it_imports_and_a_program_sends(
    installed: Callable[[str, str], str], way: str, system: System, tmp_path: Path
) -> None:
    python = Path(installed("carecase-client", way)).with_name("python")
    ran = subprocess.run(
        [python, "-c", IMPORT_ALL + SEND],
        cwd=tmp_path,
        env=process_environment() | access(system),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (ran.stdout, ran.stderr) == ("1\n", "")


def test_it_brings_a_handful_of_packages_and_no_server(installed: Callable[[str, str], str]) -> None:
    python = Path(installed("carecase-client", "as locked")).with_name("python")
    listed = subprocess.run(
        [UV, "pip", "list", "--format", "json", "--python", python], capture_output=True, text=True, check=True
    )
    names = {package["name"] for package in json.loads(listed.stdout)}
    assert names.isdisjoint({"celery", "kombu", "redis", "flower", "sqlalchemy", "psycopg", "fastapi", "uvicorn"})
    assert len(names) <= 25


@pytest.mark.parametrize("left_out", ["", "zstandard"])
def test_it_declares_what_it_imports_and_no_more(distributions: Path, tmp_path: Path, left_out: str) -> None:
    with ZipFile(distributions / f"carecase_client-{VERSION}-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path / "client")
    declared = (ROOT / "packages" / "client" / "pyproject.toml").read_text()
    config, report = tmp_path / "pyproject.toml", tmp_path / "report.json"
    config.write_text(declared.replace(f'    "{left_out}>', '    # "') if left_out else declared)
    command = (UV.with_name("deptry"), "client", "--config", config, "--json-output", report)
    subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert {fault["module"] for fault in json.loads(report.read_text())} == ({left_out} if left_out else set())


def test_help_lists_its_commands_and_no_role(installed: Callable[[str, str], str], tmp_path: Path) -> None:
    completed = run("--help", cwd=tmp_path, command=[installed("carecase-client", "as locked")], variables=COMPILE_ONCE)
    listed = {line.split()[0] for line in completed.stdout.partition("Commands:")[2].splitlines() if line}
    assert listed == set(MINE)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_in_one_line_what_to_install(
    installed: Callable[[str, str], str], tmp_path: Path, role: str
) -> None:
    refused = run(role, cwd=tmp_path, command=[installed("carecase-client", "as locked")], variables=COMPILE_ONCE)
    whole = "'carecase-worker[embedded]'" if role == "up" else "carecase-worker"
    expected = f"carecase {role} is not in carecase-client. In an environment without it, run: pip install {whole}\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", expected)


def test_a_role_whose_libraries_are_missing_names_one_and_says_what_to_install(
    distributions: Path, tmp_path: Path
) -> None:
    (wheel,) = distributions.glob("carecase_worker-*.whl")
    programs = environment(tmp_path / "venv", "--constraints", "requirements.lock", "typer", "rich", "pydantic")
    run_uv("pip", "install", "--python", programs / "python", "--no-deps", wheel)
    refused = run("flower", cwd=tmp_path, command=[str(programs / "carecase")])
    expected = r"carecase flower needs \w+, which is not installed here\. Run: pip install carecase-worker\n"
    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch(expected, refused.stderr)
