"""The chart's values: each has a default, a comment and a place in the schema, and a mistake is named by its place."""

import json
import re
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml
from tests.deployment.chart import Object, rendered
from tests.deployment.chart_schema import CHART, SCHEMA, defined

from carecase_worker.version import VERSION

_SIGNED = "secrets: {existingSecret: s}"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            "workerGroups: {default: {autoscaling: {hpa: {enabled: true}, keda: {enabled: true, serverAddress: 'http://p'}}}}",
            "workerGroups.default.autoscaling: hpa and keda are both enabled",
        ),
        ("worker: {autoscaling: {keda: {enabled: true}}}", "keda.serverAddress: is missing"),
        ("worker: {autoscaling: {minReplicas: 9}}", "workerGroups.default.autoscaling.minReplicas: must not be above"),
        ("intake: {autoscaling: {minReplicas: 9}}", "intake.autoscaling.minReplicas: must not be above"),
        ("databases: {demo: null}", "databases: there are none"),
        ("workerGroups: {default: null}", "workerGroups: there are none"),
        (
            "workerGroups: {default: {databases: [dmo]}}",
            "workerGroups.default.databases: dmo is no database; there are: demo",
        ),
        (
            "databases: {other: {url: 'postgresql://h/other'}}\nworkerGroups: {default: {databases: [demo]}}",
            "databases.other: no group of workers serves it",
        ),
        ("clients: {acme: {databases: [dmo]}}", "clients.acme.databases: dmo is no database; there are: demo"),
        ("secrets: {jwt_secret: null}", "secrets.jwt_secret: is missing"),
        ("secrets: {jwt_secret: {remoteRef: {key: k}}}", "secrets.jwt_secret: has both existingSecret and remoteRef"),
        ("databases: {demo: {password: {existingSecret: null}}}", "databases.demo.password: does not say where it"),
        ("secrets: {flower_password: null}", "secrets.flower_password: is missing"),
        ("settings: {flower: {broker_url: null}}", "settings.flower.broker_url: is missing"),
        ("intake: {audit: {enabled: true}}", "secrets.audit_keys: is missing"),
        ("settings: {redis: {url: 'redis://carecase:pass@redis/0'}}", "settings.redis.url: has a password in it"),
        (
            "settings: {broker: {url: 'redis://b:pass@redis/1'}, flower: {broker_url: 'redis://f@redis/1'}}",
            "settings.broker.url: has a password in it",
        ),
        (
            "settings: {flower: {broker_url: 'redis://f:pass@redis/0'}}",
            "settings.flower.broker_url: has a password in it",
        ),
        ("databases: {demo: {url: 'postgresql://u:pass@h/d'}}", "databases.demo.url: has a password in it"),
        (
            "databases: {demo: {owner: {url: 'postgresql://u:pass@h/d'}}}",
            "databases.demo.owner.url: has a password in it",
        ),
        ("webhooks: {crm: {client: acme, url: 'https://c.example'}}", "webhooks.crm.secrets: is missing"),
        (
            f"clients: {{acme: {{}}}}\nwebhooks: {{crm: {{client: acmee, url: 'https://c.example', {_SIGNED}}}}}",
            "webhooks.crm.client: acmee is no client; there are: acme",
        ),
        (
            f"webhooks: {{crm: {{client: acme, url: 'https://c.example:8443/x', {_SIGNED}}}}}",
            "webhooks.crm.url: leads to port 8443, which networkPolicy.webhooks.ports does not let through (443)",
        ),
        (
            "webhooks: {crm: {client: acme, url: 'https://c.example', secrets: {key: k}}}",
            "webhooks.crm.secrets: does not say where it comes from",
        ),
        (
            "settings: {tracing: {endpoint: 'http://collector:4317'}}",
            "settings.tracing.endpoint: leads to port 4317, which networkPolicy.collector.ports does not let through",
        ),
        (
            "settings: {redis: {url: 'redis://carecase@redis:6380/0'}}",
            "settings.redis.url: leads to port 6380, which networkPolicy.redis.ports does not let through (6379)",
        ),
        (
            "settings: {broker: {url: 'amqps://carecase@rabbitmq/carecase'}, flower: {broker_url: 'amqps://f@rabbitmq/c'}}",
            "settings.broker.url: leads to port 5671, which networkPolicy.broker.ports does not let through (6379)",
        ),
        (
            "settings: {flower: {broker_url: 'redis://flower@redis:6390/0'}}",
            "settings.flower.broker_url: leads to port 6390, which networkPolicy.redis.ports does not let through",
        ),
        (
            "databases: {demo: {url: 'postgresql://u@a:5432,b:6432/d', owner: {url: 'postgresql://o@a/d'}}}",
            "databases.demo.url: leads to port 6432, which networkPolicy.databases.ports does not let through (5432)",
        ),
        (
            "settings: {jwt: {algorithms: [RS256], jwks_url: 'https://login.example:8443/keys'}}",
            "settings.jwt.jwks_url: leads to port 8443, which networkPolicy.issuer.ports does not let through (443)",
        ),
        ("settings: {worker: {port: 0}}", "workerGroups.default: its settings.worker.port is 0"),
        ("workerGroups: {default: {settings: {worker: {port: 0}}}}", "workerGroups.default: its settings.worker.port"),
        ("settings: {intake: {port: 0}}", "settings.intake.port: is 0"),
        ("secrets: {encryption_keys: {remoteRef: {key: k}}}", "externalSecrets.secretStoreRef.name: is missing"),
        ("ingress: {enabled: true}", "ingress.hosts: there are none"),
        ("httpRoute: {enabled: true}", "httpRoute.parentRefs: there are none"),
    ],
)  # fmt: skip
def test_values_that_contradict_each_other_are_reported_with_their_place(more: str, text: str) -> None:
    with pytest.raises(helm.HelmRenderError) as caught:
        rendered("minimal", more)
    assert text in str(caught.value)
    assert "pass@" not in str(caught.value)
    assert str(caught.value).count("\n") <= 6, "each mistake once"


@pytest.mark.parametrize(
    "more",
    [
        "replicas: 3",
        "intake: {replica: 3}",
        "intake: {replicas: 0}",
        "settings: {intake: {prot: 1}}",
        "settings: {intake: {port: http}}",
        "settings: {redis: {password: secret}}",
        "settings: {log: {level: loud}}",
        "databases: {demo: {url: 'sqlite:////tmp/x'}}",
        "databases: {demo: {url: 'postgresql://h/d', password: secret}}",
        "databases: {'a b': {url: 'postgresql://h/d'}}",
        "secrets: {jwt_secret: secret}",
        "webhooks: {crm: {client: acme, url: 'https://c.example', secrets: whsec_AAAA}}",
        "clients: {acme: {files: {referrals: {colums: {a: case_Key}}}}}",
        "secrets: {jwt_secrets: {existingSecret: a}}",
        "workerGroups: {Not_A_Name: {}}",
        "workerGroups: {default: {replicas: -1}}",
        "workerGroups: {default: {settings: {intake: {port: 1}}}}",
        "worker: {autoscaling: {minReplicas: 0}}",
        "image: {digest: latest}",
        "image: {tag: 1.0+local}",
        "nameOverride: Cases",
        "fullnameOverride: care.case",
        "commonLabels: {team: 'care and case'}",
        "intake: {podLabels: {team: care_}}",
        "worker: {resources: {limit: {memory: 1Gi}}}",
        "worker: {resources: {limits: {memory: much}}}",
        "worker: {extraEnv: [{name: A, value: 3}]}",
        "worker: {extraEnv: [{name: A, value: b, vale: c}]}",
        "worker: {extraVolumes: [{name: a}]}",
        "worker: {extraVolumeMounts: [{name: a, mountPath: /a, readonly: true}]}",
        "worker: {tolerations: [{key: a, effect: Never}]}",
        "networkPolicy: {extraEgress: {flower: []}}",
    ],
)
def test_the_schema_refuses_what_nothing_would_read(more: str) -> None:
    with pytest.raises(helm.HelmValuesError):
        rendered("minimal", more)


def test_the_schema_has_the_settings_as_they_are() -> None:
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    expected = defined()
    assert {name: definitions[name] for name in expected} == expected, "python -m tests.deployment.chart_schema"


def test_every_value_has_a_default_and_is_in_the_schema() -> None:
    schema = json.loads(SCHEMA.read_text())
    defaults: Object = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(actual: Any, described: Object, path: str) -> None:
        described = schema["$defs"][described["$ref"].rpartition("/")[2]] if "$ref" in described else described
        if described.get("type") != "object" or "properties" not in described:
            return
        assert described["additionalProperties"] is False, path
        if path not in (".settings", ".secrets"):  # these have the service's defaults, or none
            assert set(actual) == set(described["properties"]) - {"global"}, path
            for name, value in actual.items():
                compare(value, described["properties"][name], f"{path}.{name}")

    del schema["$defs"]["worker"]["properties"]["settings"]
    del defaults["worker"]["settings"]
    compare(defaults, schema, "")


def test_a_reader_of_the_values_finds_a_comment_with_each_part() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    parts = [number for number, line in enumerate(lines) if re.match(r"[a-z]\w*:", line)]
    silent = [lines[number] for number in parts if not lines[number - 1].lstrip().startswith("#")]
    explained = {"fullnameOverride:", "imagePullSecrets:", "podSecurityContext:", "httpRoute:"}
    assert [line for line in silent if line.split()[0] not in explained] == []


def test_the_notes_say_what_comes_next_and_what_to_think_about() -> None:
    minimal, production = rendered("minimal").notes, rendered("production").notes
    assert "rollout status deployment/carecase-intake" in minimal
    assert "To think about" in minimal
    for worry in ("encryption_keys", "audit.enabled", "clients", "redis.to", "serviceMonitor", "demo.owner"):
        assert worry in minimal
    assert "To think about" not in production
    assert "https://carecase.example.org/carecase" in production
    assert "token new" not in rendered("rabbitmq-jwks").notes, "the issuer makes tokens"


@pytest.mark.parametrize(("peers", "warns"), [(0, False), (1, True), (2, False)])
def test_the_notes_warn_of_a_policy_that_may_shut_prometheus_out(peers: int, warns: bool) -> None:
    policy = f"networkPolicy: {{intakeFrom: {[{'podSelector': {}}] * peers}}}"
    assert ("Prometheus is shut out" in rendered("production", policy).notes) is warns


def test_the_chart_has_the_services_version(tmp_path: Path) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == VERSION
    packed = helm.package(CHART, destination=tmp_path)
    with helm.Chart.load(packed) as loaded:
        assert {"README.md", "files/rules.yaml"} <= {one["name"] for one in loaded.files}
        assert not [one["name"] for one in loaded.files if one["name"].startswith("ci/")]
