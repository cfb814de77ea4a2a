"""The chart rendered with each file of ci/: valid, restricted, and what an operator expects of it."""

import json
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml
from tests.deployment import custom_resources
from tests.deployment.chart import CASES, NAMESPACE, Object, Pod, Rendered, rendered, values_of
from tests.deployment.chart_schema import CHART, SCHEMA, defined

from carecase_worker.version import VERSION

ROOT = CHART.parent.parent.parent
_DESCRIBED = json.loads((ROOT / "tests" / "contract" / "openapi.json").read_text())["paths"]
_SERVING = ("intake", "worker", "flower")
_RULES = CHART / "files" / "rules.yaml"
_SIGNED = "secrets: {existingSecret: s}"
_EVERY = pytest.mark.parametrize("case", CASES)


def versions() -> list[str]:
    """The oldest Kubernetes that the chart takes, and the newest with known schemas."""
    (oldest,) = re.findall(r">=(\d+\.\d+)", yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"])
    return [oldest, kubernetes_validate.latest_version().removesuffix("-local-strict").removesuffix("-local")]


@_EVERY
def test_helm_has_nothing_to_say_against_it(case: str) -> None:
    report = helm.lint(CHART, values_of(case), strict=True, namespace=NAMESPACE)
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]


@_EVERY
@pytest.mark.parametrize("version", versions())
def test_kubernetes_takes_every_object(case: str, version: str) -> None:
    for one in rendered(case).objects:
        if custom_resources.is_custom(one):
            custom_resources.validate(one)
        else:
            kubernetes_validate.validate(one, version, strict=True)


@_EVERY
def test_every_object_is_named_once_and_labelled_as_is_recommended(case: str) -> None:
    objects = [one for one in rendered(case).objects if "labels" in one["metadata"]]
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    for one in objects:
        labels = one["metadata"]["labels"]
        assert {"name", "instance", "version", "component", "part-of", "managed-by"} <= {
            name.removeprefix("app.kubernetes.io/") for name in labels
        }
        assert all(len(value) <= 63 for value in labels.values())
        assert len(one["metadata"]["name"]) <= 63
        assert one["metadata"]["namespace"] == NAMESPACE


def test_the_longest_names_still_fit() -> None:
    group = "g" * 20
    objects = rendered("production", f"fullnameOverride: {'n' * 60}\nworkerGroups: {{{group}: {{}}}}").objects
    assert max(len(one["metadata"]["name"]) for one in objects) <= 63
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


@_EVERY
def test_a_selector_finds_the_pods_of_its_role_and_no_others(case: str) -> None:
    release = rendered(case)
    everyone = [(pod.role, pod.metadata["labels"]) for pod in release.pods()]
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment", "StatefulSet"):
        for one in release.of(kind):
            selector = one["spec"].get("selector") or one["spec"]["podSelector"]
            wanted = selector.get("matchLabels", selector).items()
            found = {role for role, labels in everyone if wanted <= labels.items()}
            assert found == {one["metadata"]["labels"]["app.kubernetes.io/component"]}, one["metadata"]["name"]


@_EVERY
def test_a_pod_fits_the_restricted_standard_and_writes_nowhere_but_to_its_own(case: str) -> None:
    for pod in rendered(case).pods():
        of_pod, of_container = pod.spec["securityContext"], pod.container["securityContext"]
        assert (of_pod["runAsNonRoot"], of_pod["runAsUser"]) == (True, 10001), "the user of the image"
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert of_container == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        allowed = {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}
        assert all(volume.keys() - {"name"} <= allowed for volume in pod.spec.get("volumes", ()))
        assert pod.spec["automountServiceAccountToken"] is False
        assert "limits" in pod.container["resources"]


@_EVERY
def test_no_service_becomes_a_setting(case: str) -> None:
    """Of a Service `carecase-intake` Kubernetes would make CARECASE_INTAKE_PORT, which is intake.port."""
    assert all(pod.spec["enableServiceLinks"] is False for pod in rendered(case).pods())


@_EVERY
def test_no_secret_is_in_it(case: str) -> None:
    release = rendered(case)
    assert release.of("Secret") == []
    assert all("secretKeyRef" not in json.dumps(pod.spec) for pod in release.pods()), "a variable is shown to many"
    for pod in release.pods():
        projected = [volume["projected"] for volume in pod.spec.get("volumes", ()) if "projected" in volume]
        assert all(one["defaultMode"] == 0o440 for one in projected)


@_EVERY
def test_whoever_serves_is_probed_at_the_port_that_it_listens_on(case: str) -> None:
    release = rendered(case)
    for pod in release.pods(*_SERVING):
        settings = release.settings(pod)
        (port,) = pod.container["ports"]
        assert port["containerPort"] == settings[pod.role]["port"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = pod.container[name]
            if pod.role == "flower":
                prefix = settings["flower"].get("url_prefix", "flower")
                assert f"'http://127.0.0.1:{port['containerPort']}/{prefix}/healthcheck'" in probe["exec"]["command"][2]
            else:
                assert probe["httpGet"]["port"] == port["name"]
                assert probe["httpGet"]["path"] in _DESCRIBED
        if pod.role != "flower":
            assert settings[pod.role]["host"] == "0.0.0.0", "the node asks from outside"
            assert pod.container["livenessProbe"]["httpGet"]["path"] == "/livez", "no restart mends what is away"


def test_an_intake_is_ready_if_it_answers_unless_told_otherwise() -> None:
    def path(case: str) -> str:
        (pod,) = rendered(case).pods("intake")
        return str(pod.container["readinessProbe"]["httpGet"]["path"])

    assert path("minimal") == "/livez"
    assert path("autoscaling-hpa") == "/readyz"


@_EVERY
def test_whoever_is_stopped_has_time_to_end_what_it_does(case: str) -> None:
    release = rendered(case)
    for pod in release.pods(*_SERVING):
        grace = pod.spec["terminationGracePeriodSeconds"]
        slept = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if pod.role == "worker":
            assert grace > release.settings(pod)["worker"]["chunk_deadline_seconds"] + 10
            assert slept == 0, "nobody is sent to a worker"
        elif pod.role == "intake":
            assert slept >= 5, "until nobody is sent to it any more"
            assert grace - slept > 10, "uvicorn's graceful shutdown"


def test_the_grace_of_a_group_follows_its_own_deadline() -> None:
    graces = {
        pod.metadata["labels"]["worker-group"]: pod.spec["terminationGracePeriodSeconds"]
        for pod in rendered("production").pods("worker")
    }
    assert graces == {"default": 30, "north": 30, "south": 35}


def test_a_role_that_is_many_survives_a_drained_node() -> None:
    release = rendered("minimal")
    for name in ("carecase-intake", "carecase-worker-default"):
        assert release.one("Deployment", name)["spec"]["replicas"] == 2
        budget = release.one("PodDisruptionBudget", name)["spec"]
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    for pod in release.pods("intake", "worker"):
        keys = [spread["topologyKey"] for spread in pod.spec["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        for spread in pod.spec["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"].items() <= pod.metadata["labels"].items()


def test_a_group_of_workers_serves_its_databases_only() -> None:
    release = rendered("production")
    served = {
        pod.metadata["labels"]["worker-group"]: set(release.settings(pod)["databases"])
        for pod in release.pods("worker")
    }
    assert served == {"default": {"small"}, "north": {"north"}, "south": {"south-2"}}
    assert release.one("Deployment", "carecase-worker-south")["spec"]["replicas"] == 4


@pytest.mark.parametrize(
    ("case", "scaled"),
    [
        ("minimal", {}),
        (
            "autoscaling-hpa",
            {"carecase-intake": "HorizontalPodAutoscaler", "carecase-worker-default": "HorizontalPodAutoscaler"},
        ),
        ("production", {"carecase-worker-default": "ScaledObject", "carecase-worker-north": "ScaledObject"}),
    ],
)
def test_whoever_is_scaled_has_one_scaler_and_no_number_of_its_own(case: str, scaled: dict[str, str]) -> None:
    release = rendered(case)
    scalers = {
        one["spec"]["scaleTargetRef"]["name"]: one["kind"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for one in release.of(kind)
    }
    assert scalers == scaled
    makers = [one for kind in ("Deployment", "StatefulSet") for one in release.of(kind)]
    assert {one["metadata"]["name"] for one in makers if "replicas" not in one["spec"]} == set(scaled)
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for one in release.of(kind):
            target = one["spec"]["scaleTargetRef"]
            assert release.of(target["kind"], target["name"])
            assert one["spec"].get("minReplicas", one["spec"].get("minReplicaCount")) >= 1


def test_the_hook_brings_all_that_the_migration_needs_with_it() -> None:
    release = rendered("external-secrets")
    hooks = [
        one
        for one in release.objects
        if "pre-upgrade" in one["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    ]
    assert {one["kind"] for one in hooks} == {"ServiceAccount", "ConfigMap", "ExternalSecret", "NetworkPolicy", "Job"}
    for one in hooks:
        annotations = one["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        assert (int(annotations["helm.sh/hook-weight"]) < 0) == (one["kind"] != "Job")
    (pod,) = release.pods("migration")
    here = {(one["kind"], one["metadata"]["name"]) for one in hooks}
    assert ("ServiceAccount", pod.spec["serviceAccountName"]) in here
    assert {secret for secret, _ in pod.secrets.values()} == {"carecase-migration"}
    assert ("ExternalSecret", "carecase-migration") in here
    assert pod.spec["restartPolicy"] == "Never"


def test_a_secret_that_is_fetched_is_one_that_a_pod_mounts() -> None:
    release = rendered("external-secrets")
    fetched = {
        (one["spec"]["target"]["name"], data["secretKey"])
        for one in release.of("ExternalSecret")
        for data in one["spec"]["data"]
    }
    mounted = {source for pod in release.pods(*_SERVING, "migration") for source in pod.secrets.values()}
    assert mounted - fetched == {("flower", "redis")}, "the one that is there already"
    assert fetched <= mounted
    owner = {data["remoteRef"]["property"] for data in release.one("ExternalSecret", "carecase")["spec"]["data"]}
    assert "owner_password" not in owner, "it is there while the migration runs only"


def _egress(release: Rendered, name: str) -> list[Object]:
    egress = release.one("NetworkPolicy", name)["spec"]["egress"]
    assert isinstance(egress, list)
    return egress


@pytest.mark.parametrize("case", [case for case in CASES if case != "bare"])
def test_every_role_has_a_policy_and_flower_reaches_the_broker_alone(case: str) -> None:
    release = rendered(case)
    assert {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in release.of("NetworkPolicy")} == {
        *_SERVING,
        "migration",
    }
    assert all(one["spec"]["policyTypes"] == ["Ingress", "Egress"] for one in release.of("NetworkPolicy"))
    dns, broker = _egress(release, "carecase-flower")
    assert {port["port"] for port in dns["ports"]} == {53}
    assert [port["port"] for port in broker["ports"]] == [{"rabbitmq-jwks": 5671, "production": 6380}.get(case, 6379)]
    assert release.one("NetworkPolicy", "carecase-migration")["spec"]["ingress"] == []


def test_each_role_reaches_what_its_part_needs() -> None:
    def ports(case: str, role: str) -> list[int]:
        return [port["port"] for rule in _egress(rendered(case), f"carecase-{role}")[1:] for port in rule["ports"]]

    assert ports("minimal", "intake") == [6379]
    assert ports("minimal", "worker") == [6379, 5432]
    assert ports("minimal", "migration") == [5432]
    assert ports("rabbitmq-jwks", "intake") == [6379, 5671, 443]
    assert ports("rabbitmq-jwks", "worker") == [6379, 5671, 5432]
    assert ports("production", "intake") == [6380, 4318]
    assert ports("production", "worker") == [6380, 5432, 443, 8443, 4318]
    extra = rendered("minimal", "networkPolicy: {extraEgress: {worker: [{ports: [{port: 4317}]}]}}")
    assert _egress(extra, "carecase-worker")[-1] == {"ports": [{"port": 4317}]}


def test_a_worker_reaches_the_internet_for_webhooks_and_inside_what_is_permitted() -> None:
    (rule,) = [
        one
        for one in _egress(rendered("production"), "carecase-worker")
        if {"port": 8443, "protocol": "TCP"} in one["ports"]
    ]
    let_through = [
        (ip_network(peer["ipBlock"]["cidr"]), [ip_network(one) for one in peer["ipBlock"].get("except", ())])
        for peer in rule["to"]
    ]

    def reaches(address: str) -> bool:
        ip = ip_address(address)
        return any(ip in network and not any(ip in one for one in but) for network, but in let_through)

    assert all(map(reaches, ("93.184.216.34", "2606:2800:220::1", "10.1.2.3", "10.2.0.7")))
    assert not any(map(reaches, ("10.2.0.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1")))
    assert not any(map(reaches, ("fd00::1", "fe80::1", "::1")))


def test_nobody_opens_flower_unless_it_is_wanted() -> None:
    assert rendered("minimal").one("NetworkPolicy", "carecase-flower")["spec"]["ingress"] == []
    (rule,) = rendered("production").one("NetworkPolicy", "carecase-flower")["spec"]["ingress"]
    assert rule["from"]


@pytest.mark.parametrize("case", ["production", "rabbitmq-jwks"])
def test_clients_reach_what_the_contract_describes_and_nothing_for_operators(case: str) -> None:
    release = rendered(case)
    let_in = [
        path["path"] for one in release.of("Ingress") for rule in one["spec"]["rules"] for path in rule["http"]["paths"]
    ]
    let_in += [
        match["path"]["value"]
        for one in release.of("HTTPRoute")
        for rule in one["spec"]["rules"]
        for match in rule["matches"]
    ]
    root = "/carecase" if case == "production" else ""
    for path, operations in _DESCRIBED.items():
        is_for_clients = all("Health" not in operation.get("tags", ()) for operation in operations.values())
        is_let_in = any(f"{root}{path}/".startswith(f"{one}/") for one in let_in)
        assert is_let_in == is_for_clients, path


def test_an_audit_log_stays_with_its_intake() -> None:
    release = rendered("production")
    intake = release.one("StatefulSet", "carecase-intake")
    (claim,) = intake["spec"]["volumeClaimTemplates"]
    (pod,) = release.pods("intake")
    directory = release.settings(pod)["audit"]["directory"]
    assert {"name": claim["metadata"]["name"], "mountPath": directory} in pod.container["volumeMounts"]
    assert intake["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert re.search(r"--mode 0700 (\S+)", (ROOT / "Dockerfile").read_text())[1] == directory  # type: ignore[index]


def test_prometheus_scrapes_intakes_and_workers_by_their_services() -> None:
    release = rendered("production")
    for monitor in release.of("ServiceMonitor"):
        assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [one for one in release.of("Service") if wanted <= one["metadata"]["labels"].items()]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
        assert endpoint["path"] in _DESCRIBED
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": monitor["metadata"]["name"]}]
    assert {one["metadata"]["name"] for one in release.of("ServiceMonitor")} == {"carecase-intake", "carecase-worker"}


def test_keda_asks_for_the_open_items_of_the_groups_databases() -> None:
    release = rendered("production")
    (trigger,) = release.one("ScaledObject", "carecase-worker-north")["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    assert 'carecase_open_items{namespace="care",service="carecase-intake",database=~"north"}' in query
    assert trigger["metadata"]["threshold"] == "100000"
    assert release.one("Service", "carecase-intake")
    assert query.count("(") == query.count(")")


@pytest.mark.parametrize("source", ["rules", "query"])
def test_every_metric_that_is_asked_for_exists(source: str) -> None:
    known = set(
        re.findall(r"^\| `(carecase_\w+)`", (ROOT / "docs" / "reference" / "metrics.md").read_text(), re.MULTILINE)
    )
    recorded = set(re.findall(r"record: (\S+)", _RULES.read_text()))
    text = _RULES.read_text() if source == "rules" else json.dumps(rendered("production").of("ScaledObject"))
    asked = set(re.findall(r"\b(carecase_\w+?)(?:_bucket|_sum|_count)?\b(?=[\s{()\[]|$)", text))
    assert asked
    assert asked - recorded <= known


def test_the_rules_are_those_of_the_repository() -> None:
    theirs = ROOT / "deploy" / "prometheus" / "rules.yaml"
    (rule,) = rendered("production").of("PrometheusRule")
    assert rule["spec"] == yaml.safe_load(_RULES.read_text()), "as they stand, with their {{ $labels }}"
    if theirs.exists():
        assert _RULES.read_bytes() == theirs.read_bytes(), f"cp {theirs.relative_to(ROOT)} {_RULES.relative_to(ROOT)}"


def test_an_alert_leads_to_a_page() -> None:
    base = "https://docs.example.org/carecase"
    release = rendered("production", f"monitoring: {{prometheusRule: {{runbookBaseUrl: {base}/}}}}")
    (rule,) = release.of("PrometheusRule")
    alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
    for one in alerts:
        url = one["annotations"]["runbook_url"]
        assert url.startswith(f"{base}/")
        assert (ROOT / "docs" / url.removeprefix(f"{base}/").partition("#")[0]).is_file(), one["alert"]


def test_an_image_is_known_by_its_digest() -> None:
    assert {pod.container["image"].partition("@")[2][:7] for pod in rendered("production").pods()} == {"sha256:"}
    assert {pod.container["image"] for pod in rendered("minimal").pods()} == {f"carecase-worker:{VERSION}"}


def test_a_pod_is_replaced_when_its_configuration_changes_and_only_then() -> None:
    def sums(more: str = "") -> dict[str, str]:
        pods: list[Pod] = rendered("production", more).pods(*_SERVING)
        return {pod.maker["metadata"]["name"]: pod.metadata["annotations"]["checksum/config"] for pod in pods}

    before, after = sums(), sums("workerGroups: {north: {settings: {worker: {concurrency: 8}}}}")
    assert {name for name in before if before[name] != after[name]} == {"carecase-worker-north"}


@pytest.mark.parametrize(
    ("more", "told"),
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
        ("databases: {demo: {url: 'postgresql://u:p@h/d'}}", "databases.demo.url: has a password in it"),
        (
            "databases: {demo: {owner: {url: 'postgresql://u:p@h/d'}}}",
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
def test_values_that_contradict_each_other_are_told_with_their_place(more: str, told: str) -> None:
    with pytest.raises(helm.HelmRenderError) as caught:
        rendered("minimal", more)
    assert told in str(caught.value)
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
        "networkPolicy: {extraEgress: {flower: []}}",
    ],
)
def test_the_schema_refuses_what_nothing_would_read(more: str) -> None:
    with pytest.raises(helm.HelmValuesError):
        rendered("minimal", more)


def test_the_schema_has_the_settings_as_they_are() -> None:
    held = json.loads(SCHEMA.read_text())["$defs"]
    expected = defined()
    assert {name: held[name] for name in expected} == expected, "python -m tests.deployment.chart_schema"


def test_every_value_has_a_default_and_is_in_the_schema() -> None:
    schema = json.loads(SCHEMA.read_text())
    defaults: Object = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(held: Any, described: Object, path: str) -> None:
        described = schema["$defs"][described["$ref"].rpartition("/")[2]] if "$ref" in described else described
        if described.get("type") != "object" or "properties" not in described:
            return
        assert described["additionalProperties"] is False, path
        if path not in (".settings", ".secrets"):  # these have the service's defaults, or none
            assert set(held) == set(described["properties"]) - {"global"}, path
            for name, value in held.items():
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
    for worry in ("encryption_keys", "audit.enabled", "clients", "redis.to", "serviceMonitor", "demo.owner"):
        assert worry in minimal
    assert "To think about" not in production
    assert "https://carecase.example.org/carecase" in production
    assert "token new" not in rendered("rabbitmq-jwks").notes, "the issuer makes tokens"


def test_extra_objects_are_templates() -> None:
    names = {one["metadata"]["name"] for one in rendered("bare").of("ConfigMap")}
    assert {"carecase-more", "carecase-cases-text"} <= names


def test_the_chart_has_the_services_version(tmp_path: Path) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == VERSION
    packed = helm.package(CHART, destination=tmp_path)
    with helm.Chart.load(packed) as loaded:
        assert {"README.md", "files/rules.yaml"} <= {one["name"] for one in loaded.files}
        assert not [one["name"] for one in loaded.files if one["name"].startswith("ci/")]
