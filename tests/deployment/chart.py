"""The chart as Helm renders it: its objects, and the settings of each of its pods."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import helm_python as helm
import yaml
from tests.deployment.chart_schema import CHART

Object = dict[str, Any]
CASES = {path.stem.removesuffix("-values"): path for path in sorted((CHART / "ci").glob("*.yaml"))}
RELEASE, NAMESPACE = "carecase", "care"


@dataclass(frozen=True)
class Pod:
    """A pod that the chart makes, by the object that makes it."""

    maker: Object
    metadata: Object
    spec: Object

    @property
    def role(self) -> str:
        """Its role, `test` for that of `helm test`."""
        return str(self.metadata["labels"]["app.kubernetes.io/component"])

    @property
    def container(self) -> Object:
        """Its container."""
        (container,) = self.spec["containers"]
        assert isinstance(container, dict)
        return container

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its container."""
        return {variable["name"]: variable["value"] for variable in self.container["env"]}

    @property
    def secrets(self) -> dict[str, tuple[str, str]]:
        """Its secrets: Secret and key by the path of the file."""
        mounts = {one["name"]: one["mountPath"] for one in self.container.get("volumeMounts", ())}
        return {
            f"{mounts['secrets']}/{item['path']}": (source["secret"]["name"], item["key"])
            for volume in self.spec.get("volumes", ())
            if volume["name"] == "secrets"
            for source in volume["projected"]["sources"]
            for item in source["secret"]["items"]
        }


@dataclass(frozen=True)
class Rendered:
    """What a release is made of."""

    objects: list[Object]
    notes: str

    def of(self, kind: str, name: str | None = None) -> list[Object]:
        """The objects of a kind."""
        return [
            one for one in self.objects if one["kind"] == kind and (name is None or one["metadata"]["name"] == name)
        ]

    def one(self, kind: str, name: str) -> Object:
        """The one object of a kind and name."""
        (found,) = self.of(kind, name)
        return found

    def pods(self, *roles: str) -> list[Pod]:
        """The pods of some roles, or of all."""
        return [pod for pod in self._pods() if not roles or pod.role in roles]

    def config(self, pod: Pod) -> str:
        """The text of a pod's configuration."""
        (name,) = [one["configMap"]["name"] for one in pod.spec["volumes"] if one["name"] == "config"]
        return str(self.one("ConfigMap", name)["data"]["carecase.toml"])

    def settings(self, pod: Pod) -> Object:
        """A pod's configuration, as it stands."""
        return tomllib.loads(self.config(pod))

    def _pods(self) -> Iterator[Pod]:
        for one in self.objects:
            if one["kind"] == "Pod":
                yield Pod(one, one["metadata"], one["spec"])
            elif "template" in one.get("spec", {}):
                template = one["spec"]["template"]
                yield Pod(one, template["metadata"], template["spec"])


def values_of(case: str) -> Object:
    """The values of one of the files in ci/."""
    return helm.values_from_yaml(CASES[case].read_text())


def rendered(case: str, more: str = "", name: str = RELEASE) -> Rendered:
    """The chart with the values of a case, and more values, as YAML, laid over them. Raises HelmError."""
    return _rendered(case, more, name)


@lru_cache(maxsize=200)
def _rendered(case: str, more: str, name: str) -> Rendered:
    return render(values_of(case), helm.values_from_yaml(more) if more else {}, name=name)


def render(*values: Object, name: str = RELEASE) -> Rendered:
    """The chart with values, each laid over those before. Raises HelmError."""
    laid: Object = {}
    for more in values:
        laid = _merged(laid, more)
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(laid)
        files = chart.render(laid, name=name, namespace=NAMESPACE)
    notes = "".join(text for name, text in files.items() if name.endswith("NOTES.txt"))
    texts = [text for name, text in sorted(files.items()) if not name.endswith("NOTES.txt")]
    return Rendered([one for text in texts for one in yaml.load_all(text, _Once) if one], notes)


def _merged(values: Object, more: Object) -> Object:
    """Lay values over others; null takes one out, of those or of the chart's own."""
    merged = {name: value for name, value in values.items() if more.get(name, "") is not None}
    for name, value in more.items():
        present = values.get(name)
        if value is not None or name not in values:
            merged[name] = _merged(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return merged


class _Once(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """A loader that refuses a key that comes twice; an API server would take one of the two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Object:
        """Return the mapping. Raises AssertionError."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key comes twice: {sorted(keys)}"
        mapping: Object = super().construct_mapping(node, deep)
        return mapping
