"""A pod is restricted, probed, given time to end, spread and scaled, and replaced when its configuration changes."""

import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from tests.deployment.chart import Pod, rendered
from tests.deployment.rendering import DESCRIBED, EVERY_CASE, ROOT, SERVING

from carecase_worker.version import VERSION


@EVERY_CASE
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


@EVERY_CASE
def test_whoever_serves_is_probed_at_the_port_that_it_listens_on(case: str) -> None:
    release = rendered(case)
    for pod in release.pods(*SERVING):
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
                assert probe["httpGet"]["path"] in DESCRIBED
        if pod.role != "flower":
            assert settings[pod.role]["host"] == "0.0.0.0", "the node asks from outside"
            assert pod.container["livenessProbe"]["httpGet"]["path"] == "/livez", "no restart mends what is away"


def test_an_intake_is_ready_if_it_answers_unless_the_values_say_otherwise() -> None:
    def path(case: str) -> str:
        (pod,) = rendered(case).pods("intake")
        return str(pod.container["readinessProbe"]["httpGet"]["path"])

    assert path("minimal") == "/livez"
    assert path("autoscaling-hpa") == "/readyz"


@EVERY_CASE
def test_whoever_is_stopped_has_time_to_end_what_it_does(case: str) -> None:
    release = rendered(case)
    for pod in release.pods(*SERVING):
        grace = pod.spec["terminationGracePeriodSeconds"]
        slept = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if pod.role == "worker":
            assert grace > release.settings(pod)["worker"]["chunk_deadline_seconds"] + 10
            assert slept == 0, "nobody is sent to a worker"
        elif pod.role == "intake":
            assert slept >= 5, "until nobody is sent to it any more"
            assert grace - slept > 10, "uvicorn's graceful shutdown"
        else:
            assert grace - slept >= 10, "as long as systemd and compose give it"


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
    mounted = {source for pod in release.pods(*SERVING, "migration") for source in pod.secrets.values()}
    assert mounted - fetched == {("flower", "redis")}, "the one that is there already"
    assert fetched <= mounted
    owner = {data["remoteRef"]["property"] for data in release.one("ExternalSecret", "carecase")["spec"]["data"]}
    assert "owner_password" not in owner, "it is there while the migration runs only"


def test_an_audit_log_stays_with_its_intake() -> None:
    release = rendered("production")
    intake = release.one("StatefulSet", "carecase-intake")
    (claim,) = intake["spec"]["volumeClaimTemplates"]
    (pod,) = release.pods("intake")
    directory = release.settings(pod)["audit"]["directory"]
    assert {"name": claim["metadata"]["name"], "mountPath": directory} in pod.container["volumeMounts"]
    assert intake["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert re.search(r"--mode 0700 (\S+)", (ROOT / "Dockerfile").read_text())[1] == directory  # type: ignore[index]


def test_an_image_is_known_by_its_digest() -> None:
    assert {pod.container["image"].partition("@")[2][:7] for pod in rendered("production").pods()} == {"sha256:"}
    assert {pod.container["image"] for pod in rendered("minimal").pods()} == {f"carecase-worker:{VERSION}"}


def test_a_pod_is_replaced_when_its_configuration_changes_and_only_then() -> None:
    def sums(more: str = "") -> dict[str, str]:
        pods: list[Pod] = rendered("production", more).pods(*SERVING)
        return {pod.maker["metadata"]["name"]: pod.metadata["annotations"]["checksum/config"] for pod in pods}

    before, after = sums(), sums("workerGroups: {north: {settings: {worker: {concurrency: 8}}}}")
    assert {name for name in before if before[name] != after[name]} == {"carecase-worker-north"}
    for pod in rendered("production").pods(*SERVING):
        assert "helm.sh/chart" not in pod.metadata["labels"], "a new version of the chart alone replaces none"


@pytest.mark.parametrize(("status", "ends_with"), [(200, 0), (503, 1), (404, 1)])
def test_helm_test_fails_unless_the_intakes_are_ready(status: int, ends_with: int) -> None:
    class Intake(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(b"details")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    (pod,) = rendered("production").pods("test")
    _, *options = pod.container["command"]
    (script,) = pod.container["args"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Intake) as intake:
        Thread(target=intake.serve_forever, daemon=True).start()
        here = script.replace("http://carecase-intake:80/", f"http://127.0.0.1:{intake.server_port}/")
        assert here != script
        ran = subprocess.run(
            [sys.executable, *options, here], env={}, capture_output=True, text=True, check=False, timeout=60
        )
        intake.shutdown()
    assert (ran.returncode, ran.stdout) == (ends_with, f"{status} details\n"), ran.stderr
