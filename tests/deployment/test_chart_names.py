"""Names and labels of a release, its groups and its values: Kubernetes takes them, or the chart says why not."""

import re
from collections.abc import Iterator

import helm_python as helm
import pytest
from tests.deployment.chart import Object, Rendered, rendered

_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_MONITORED = (
    "monitoring: {serviceMonitor: {enabled: true, labels: {team: watch, app.kubernetes.io/instance: prometheus}}}"
)


def _labels(release: Rendered) -> Iterator[Object]:
    yield from (one["metadata"]["labels"] for one in release.objects)
    yield from (pod.metadata["labels"] for pod in release.pods())


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("r" * 53, ""),
        ("r" * 33 + "-" + "r" * 19, ""),
        ("true", ""),
        ("1abc", "fullnameOverride: cases"),
        ("care.case", "fullnameOverride: cases"),
        ("carecase", f"nameOverride: {'n' * 29}-name"),
        ("carecase", "workerGroups: {'1': {}, 'null': {}, '1e3': {}}"),
        ("carecase", f"image: {{tag: '{'a' * 62}-b'}}"),
        ("carecase", "image: {tag: v1_}"),
        ("carecase", "image: {tag: '2024'}"),
    ],
)
def test_names_and_labels_are_such_as_kubernetes_takes(name: str, more: str) -> None:
    release = rendered("minimal", more, name)
    assert all(_SERVICE.fullmatch(one["metadata"]["name"]) for one in release.objects)
    for labels in _labels(release):
        assert all(isinstance(value, str) and _LABEL.fullmatch(value) for value in labels.values()), labels


@pytest.mark.parametrize("name", ["1abc", "care.case"])
def test_a_release_of_which_no_service_can_be_named_is_refused(name: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=f"fullnameOverride: is missing, .* would be called {name}-carecase"):
        rendered("minimal", "", name)


def test_a_label_that_several_values_have_is_there_once_and_no_selector_is_lost() -> None:
    """A key that comes twice is refused while the objects are read here, and by much that stands behind Helm."""
    taken = "{app.kubernetes.io/name: other, app.kubernetes.io/part-of: suite, worker-group: other, team: care}"
    release = rendered(
        "minimal",
        f"commonLabels: {taken}\nintake: {{podLabels: {{team: intake, app.kubernetes.io/component: x}}}}\n{_MONITORED}",
    )
    (intake,), (worker,) = release.pods("intake"), release.pods("worker")
    for pod in (intake, worker):
        assert pod.maker["spec"]["selector"]["matchLabels"].items() <= pod.metadata["labels"].items()
        assert pod.metadata["labels"]["app.kubernetes.io/part-of"] == "suite"
    assert (intake.metadata["labels"]["team"], worker.metadata["labels"]["team"]) == ("intake", "care")
    monitor = release.one("ServiceMonitor", "carecase-intake")["metadata"]["labels"]
    assert (monitor["team"], monitor["app.kubernetes.io/instance"]) == ("watch", "prometheus")


@pytest.mark.parametrize("section", ["databases", "webhooks"])
def test_names_that_would_share_the_files_of_their_secrets_are_refused(section: str) -> None:
    held = {
        "databases": "url: 'postgresql://h/d', password: {existingSecret: s}",
        "webhooks": "client: acme, url: 'https://c.example', secrets: {existingSecret: s}",
    }[section]
    with pytest.raises(helm.HelmRenderError, match=f"{section}.south_2: would have the secrets of {section}.south-2"):
        rendered("minimal", f"{section}: {{south-2: {{{held}}}, south_2: {{{held}}}}}")
    with pytest.raises(helm.HelmRenderError, match=f"{section}.south: would have the secrets of {section}.South"):
        rendered("minimal", f"{section}: {{South: {{{held}}}, south: {{{held}}}}}")


@pytest.mark.parametrize("part", ["intake", "worker", "flower", "migration"])
@pytest.mark.parametrize(
    ("extra", "taken"),
    [
        ("extraEnv: [{name: CARECASE_CONFIG, value: /x}]", "extraEnv: CARECASE_CONFIG"),
        ("extraVolumes: [{name: tmp, emptyDir: {}}]", "extraVolumes: tmp"),
        ("extraVolumeMounts: [{name: x, mountPath: /tmp}]", "extraVolumeMounts: /tmp"),
    ],
)
def test_what_a_pod_has_of_the_chart_cannot_be_had_twice(part: str, extra: str, taken: str) -> None:
    place = "workerGroups.default" if part == "worker" else part
    with pytest.raises(helm.HelmRenderError, match=f"{place}.{taken} is the chart's own"):
        rendered("minimal", f"{part}: {{{extra}}}")
