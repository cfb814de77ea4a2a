"""Every object of the chart is one that Kubernetes takes, by a name and labels of its own."""

import json
import re

import helm_python as helm
import kubernetes_validate
import pytest
import yaml
from tests.deployment import custom_resources
from tests.deployment.chart import NAMESPACE, rendered, values_of
from tests.deployment.chart_schema import CHART
from tests.deployment.rendering import EVERY_CASE


def versions() -> list[str]:
    """The oldest Kubernetes that the chart takes, and the newest with known schemas."""
    (oldest,) = re.findall(r">=(\d+\.\d+)", yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"])
    return [oldest, kubernetes_validate.latest_version().removesuffix("-local-strict").removesuffix("-local")]


@EVERY_CASE
def test_helm_has_nothing_to_say_against_it(case: str) -> None:
    report = helm.lint(CHART, values_of(case), strict=True, namespace=NAMESPACE)
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]


@EVERY_CASE
@pytest.mark.parametrize("version", versions())
def test_kubernetes_takes_every_object(case: str, version: str) -> None:
    for one in rendered(case).objects:
        if custom_resources.is_custom(one):
            custom_resources.validate(one)
        else:
            kubernetes_validate.validate(one, version, strict=True)


@EVERY_CASE
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


@EVERY_CASE
def test_a_selector_finds_the_pods_of_its_role_and_no_others(case: str) -> None:
    release = rendered(case)
    everyone = [pod.metadata["labels"] for pod in release.pods()]
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment", "StatefulSet"):
        for one in release.of(kind):
            selector = one["spec"].get("selector") or one["spec"]["podSelector"]
            wanted = selector.get("matchLabels", selector).items()
            found = [labels for labels in everyone if wanted <= labels.items()]
            for label in ("app.kubernetes.io/component", "worker-group"):
                if expected := one["metadata"]["labels"].get(label):
                    assert {labels[label] for labels in found} == {expected}, one["metadata"]["name"]


@EVERY_CASE
def test_no_service_becomes_a_setting(case: str) -> None:
    """Of a Service `carecase-intake` Kubernetes would make CARECASE_INTAKE_PORT, which is intake.port."""
    assert all(pod.spec["enableServiceLinks"] is False for pod in rendered(case).pods())


@EVERY_CASE
def test_no_secret_is_in_it(case: str) -> None:
    release = rendered(case)
    assert release.of("Secret") == []
    assert all("secretKeyRef" not in json.dumps(pod.spec) for pod in release.pods()), "a variable is shown to many"
    for pod in release.pods():
        projected = [volume["projected"] for volume in pod.spec.get("volumes", ()) if "projected" in volume]
        assert all(one["defaultMode"] == 0o440 for one in projected)


def test_extra_objects_are_templates() -> None:
    names = {one["metadata"]["name"] for one in rendered("bare").of("ConfigMap")}
    assert {"carecase-more", "carecase-cases-text"} <= names
