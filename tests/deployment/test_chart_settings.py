"""The chart against what the code reads: each pod's configuration is loaded by the service's own loader."""

import json
from pathlib import Path

import pytest
from tests.acceptance.system import run
from tests.deployment.chart import CASES, Pod, Rendered, rendered
from tests.deployment.chart_schema import CHART, SCHEMA, named_secrets, secret_names
from tests.deployment.mounted import mounted
from tests.tls import certificates

from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings
from carecase_worker.settings.places import variable_of

ROOT = CHART.parent.parent.parent
_NEEDS = {
    "intake": {"redis_password", "encryption_keys", "jwt_secret", "audit_keys", "tracing_headers"},
    "worker": {
        "redis_password",
        "encryption_keys",
        "tracing_headers",
        "webhooks_crm_secrets",
        "webhooks_board_2_secrets",
    },
    "flower": {"flower_password", "flower_broker_password"},
    "migration": set[str](),
}
"""The secrets of each role's part, beside the passwords of its databases."""
_WEBHOOK = "webhooks: {crm: {client: acme, url: 'https://crm.example.org/', secrets: {existingSecret: webhooks}}}"


def loaded(release: Rendered, pod: Pod, place: Path) -> Settings:
    """Return a pod's settings, with its files in a directory."""
    authority = certificates(place).ca
    return load(environment=mounted(release, pod, place, {}, {"/etc/redis-ca/ca.crt": str(authority)}))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("role", _NEEDS)
def test_every_setting_and_variable_of_a_pod_exists(case: str, role: str, tmp_path: Path) -> None:
    release = rendered(case)
    pods = release.pods(role)
    assert pods or case == "bare"
    for number, pod in enumerate(pods):
        settings = loaded(release, pod, tmp_path / str(number))
        variables = {name for name, value in pod.environment.items() if value in pod.secrets}
        assert set(pod.environment) == variables | {"CARECASE_CONFIG"}
        assert len(variables) == len(pod.secrets), "each file is one that a setting names"
        assert settings.databases
        assert bool(settings.clients) == (role == "intake" and case == "production")
        assert (settings.audit.directory is not None) == (role == "intake" and case == "production")
        if role == "flower":
            assert "flower" in settings.flower_broker_url


def test_a_pod_has_the_secrets_of_its_role_and_no_other() -> None:
    release = rendered("production")
    for pod in release.pods(*_NEEDS):
        files = {Path(path).name for path in pod.secrets}
        names = {name.replace("-", "_") for name in release.settings(pod)["databases"]}
        passwords = {f"databases_{name}_password" for name in names} if pod.role in ("worker", "migration") else set()
        assert files == _NEEDS[pod.role] | passwords
        owners = {secret for path, (secret, _) in pod.secrets.items() if "databases_" in path}
        assert all(owner.endswith("-owner") == (pod.role == "migration") for owner in owners)


def test_intake_and_workers_have_the_webhooks_and_the_workers_alone_sign(tmp_path: Path) -> None:
    release = rendered("production")
    for number, pod in enumerate(release.pods(*_NEEDS)):
        settings = loaded(release, pod, tmp_path / str(number))
        assert set(settings.webhooks) == ({"crm", "board-2"} if pod.role in ("intake", "worker") else set())
        assert all(bool(one.signing_secrets) == (pod.role == "worker") for one in settings.webhooks.values())
        assert (settings.tracing.endpoint is not None) == (pod.role in ("intake", "worker"))


def test_links_in_webhooks_begin_with_the_prefix_of_the_service_too(tmp_path: Path) -> None:
    """A worker has that setting of the intakes and no other."""
    for case, prefix in (("production", "/carecase"), ("minimal", None)):
        for number, pod in enumerate((release := rendered(case)).pods("worker")):
            intake = loaded(release, pod, tmp_path / f"{case}{number}").intake
            assert intake.model_dump(exclude_unset=True) == ({"root_path": prefix} if prefix else {})


@pytest.mark.parametrize("role", ["intake", "worker"])
def test_doctor_in_a_pod_finds_nothing_to_fix_in_its_configuration(role: str, tmp_path: Path) -> None:
    """Redis and the databases are not here, so these lines are all that there may be."""
    release = rendered("production")
    pod, *_ = release.pods(role)
    authority = {"/etc/redis-ca/ca.crt": str(certificates(tmp_path / "pod").ca)}
    variables = mounted(release, pod, tmp_path / "pod", {}, authority)
    ran = run("doctor", "--role", role, "--timeout", "1", cwd=tmp_path, variables=variables)
    found = {line.split()[1].partition(".")[0].rstrip(":") for line in ran.stdout.splitlines() if line[:4] == "fix "}
    assert found == ({"redis"} if role == "intake" else {"redis", "databases"}), ran.stdout


def test_webhooks_secrets_that_take_turns_all_sign(tmp_path: Path) -> None:
    release = rendered("minimal", _WEBHOOK)
    (pod,) = release.pods("worker")
    one, other = "whsec_" + "A" * 32, "whsec_" + "B" * 32
    variables = mounted(release, pod, tmp_path, {"webhooks_crm_secrets": f"{one},{other}\n"}, {})
    assert load(environment=variables).webhooks["crm"].signing_secrets == (one, other)


def test_a_mapping_of_a_clients_files_reaches_the_intake_as_it_is_written(tmp_path: Path) -> None:
    release = rendered("production")
    (pod,) = release.pods("intake")
    mapping = loaded(release, pod, tmp_path / "pod").clients["acme"].files["referrals"]
    assert mapping.columns == {"Case No": "case_Key", 'Opened "on"': "case_Start_Date"}
    assert mapping.constants == {"carePlan_Key": 5, "do_Not_Contact": True}
    assert mapping.date_formats == ("%m/%d/%Y",)


def test_the_migration_alone_is_the_owner_of_the_tables(tmp_path: Path) -> None:
    release = rendered("production")
    users = {
        pod.role: {
            database.url.get_secret_value().partition("@")[0]
            for database in loaded(release, pod, tmp_path / pod.maker["metadata"]["name"]).databases.values()
        }
        for pod in release.pods("worker", "migration")
    }
    assert users == {
        "worker": {"postgresql+psycopg://carecase_worker"},
        "migration": {"postgresql+psycopg://carecase"},
    }


def test_every_secret_of_the_settings_reaches_somebody() -> None:
    every = "\n".join(f"  {name}: {{existingSecret: all}}" for name in sorted(secret_names()))
    release = rendered("minimal", f"secrets:\n{every}")
    mounted = {Path(path).name for pod in release.pods() for path in pod.secrets}
    assert secret_names() <= mounted, "add its section to carecase.secretsOf"
    variables = {name for pod in release.pods(*_NEEDS) for name in pod.environment}
    assert {f"CARECASE_{name.upper()}_FILE" for name in secret_names()} <= variables


def test_every_secret_of_a_named_section_has_a_place_in_the_chart() -> None:
    """A database's password and a webhook's secrets stand beside its other settings, and reach the worker."""
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    release = rendered("minimal", _WEBHOOK)
    (pod,) = release.pods("worker")
    names = {"databases": "demo", "webhooks": "crm"}
    assert named_secrets()
    for section, leaf in named_secrets():
        assert definitions[section.removesuffix("s")]["properties"][leaf] == {"$ref": "#/$defs/secret"}
        assert variable_of((section, names[section], leaf)) + "_FILE" in pod.environment


@pytest.mark.parametrize("role", _NEEDS)
def test_every_command_exists(role: str) -> None:
    (pod,) = rendered("minimal").pods(role)
    words = pod.container["args"]
    module = {"db": "databases"}.get(words[0], words[0])
    source = next((ROOT / "src" / "carecase_worker" / "cli").rglob(f"{module}.py")).read_text()
    assert words == [role] or words[:2] == ["db", "upgrade"]
    assert '"upgrade"' in source or f"def {role}(" in source
    assert "command" not in pod.container, "the image's entry point is the command line"
