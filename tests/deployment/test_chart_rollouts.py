"""A pod has patience with a slow node, is replaced without a gap, and is placed and completed as the values say."""

import pytest
from tests.deployment.chart import rendered
from tests.deployment.rendering import EVERY_CASE, SERVING

_OF_A_POD = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "own", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "high",
}


@EVERY_CASE
def test_a_slow_start_or_answer_is_no_reason_for_a_restart(case: str) -> None:
    """A pool process may take a minute to start; Flower's check starts a Python, and has a second by default."""
    for pod in rendered(case).pods(*SERVING):
        probes = {name: pod.container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
        patience = {name: probe["periodSeconds"] * probe["failureThreshold"] for name, probe in probes.items()}
        assert patience["startup"] >= 120
        assert patience["liveness"] >= 60
        assert patience["readiness"] <= 60, "until nobody is sent to one that does not answer"
        assert all(probe["timeoutSeconds"] >= (5 if pod.role == "flower" else 2) for probe in probes.values())
        assert probes["liveness"]["timeoutSeconds"] == 5


@EVERY_CASE
def test_a_new_version_comes_before_the_old_one_goes_and_of_flower_after_it(case: str) -> None:
    for one in rendered(case).of("Deployment"):
        strategy = one["spec"]["strategy"]
        if one["metadata"]["labels"]["app.kubernetes.io/component"] == "flower":
            assert (strategy, one["spec"]["replicas"]) == ({"type": "Recreate"}, 1), "two would hear half each"
        else:
            assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_intakes_with_an_audit_log_are_scaled_and_spread_too() -> None:
    """They are of a StatefulSet, whose pods have no pod-template-hash."""
    release = rendered("production", "intake: {autoscaling: {enabled: true}}")
    target = release.one("HorizontalPodAutoscaler", "carecase-intake")["spec"]["scaleTargetRef"]
    intake = release.one(target["kind"], target["name"])
    assert "replicas" not in intake["spec"]
    for pod in release.pods("intake", "worker"):
        keys = [spread.get("matchLabelKeys") for spread in pod.spec["topologySpreadConstraints"]]
        assert keys == [["pod-template-hash"] if pod.maker["kind"] == "Deployment" else None] * 2
        whens = {spread["whenUnsatisfiable"] for spread in pod.spec["topologySpreadConstraints"]}
        assert whens == {"ScheduleAnyway"}, "on a node that another one shares rather than on none"


@pytest.mark.parametrize("role", [*SERVING, "migration"])
def test_a_pod_is_placed_and_completed_as_the_values_say(role: str) -> None:
    more = {**_OF_A_POD, "podAnnotations": {"a": "b"}, "extraEnv": [{"name": "TZ", "value": "UTC"}]}
    pods = rendered("production", f"{role}: {more}").pods(role)
    assert pods
    for pod in pods:
        assert {name: pod.spec[name] for name in _OF_A_POD} == _OF_A_POD
        assert pod.spec["imagePullSecrets"] == [{"name": "registry"}]
        assert pod.metadata["annotations"]["a"] == "b"
        assert pod.environment["TZ"] == "UTC"
        assert all(
            mount["readOnly"] for mount in pod.container["volumeMounts"] if mount["name"] in ("config", "secrets")
        )


@pytest.mark.parametrize("role", SERVING)
def test_a_file_that_a_setting_names_is_mounted_where_it_is_named(role: str) -> None:
    release = rendered("production")
    for pod in release.pods(role):
        mounts = {mount["mountPath"]: mount["name"] for mount in pod.container["volumeMounts"]}
        named = release.settings(pod).get("redis", {}).get("ca_file", "/etc/redis-ca/ca.crt")
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        assert volumes[mounts[named.rpartition("/")[0]]]["configMap"] == {"name": "redis-ca"}
        assert mounts["/tmp"] == "tmp", "all else cannot be written to"


def test_a_migration_has_the_time_that_the_values_say_and_knows_it() -> None:
    release = rendered("minimal", "migration: {deadlineSeconds: 1800, backoffLimit: 1}")
    job = release.one("Job", "carecase-migration")["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (1800, 1)
    (pod,) = release.pods("migration")
    assert pod.container["args"] == ["db", "upgrade", "--timeout", "1800"]


@pytest.mark.parametrize(
    ("case", "kind", "place"),
    [
        ("autoscaling-hpa", "HorizontalPodAutoscaler", ()),
        ("production", "ScaledObject", ("advanced", "horizontalPodAutoscalerConfig")),
    ],
)
def test_a_worker_goes_only_after_a_while_of_less_work(case: str, kind: str, place: tuple[str, ...]) -> None:
    scaler = rendered(case).one(kind, "carecase-worker-default")["spec"]
    for name in place:
        scaler = scaler[name]
    assert scaler["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 300}}
