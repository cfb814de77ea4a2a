"""A pod's files and variables, in a directory of this machine."""

from collections.abc import Mapping
from pathlib import Path

from tests.deployment.chart import Pod, Rendered

KEYS = "k1:" + "A" * 43 + "="
VALUE = "0123456789abcdef" * 4
_FORMS = {"keys": KEYS, "headers": f"authorization={VALUE}"}
"""Values of secrets that have a form, by the last word of their names."""


def mounted(
    release: Rendered, pod: Pod, place: Path, secrets: Mapping[str, str], moved: Mapping[str, str]
) -> dict[str, str]:
    """Write a pod's configuration and secrets into a directory, and return its variables, which name them there.

    Secrets without a value get one of the right form; `moved` tells texts of the configuration that are elsewhere here.
    """
    place.mkdir(parents=True, exist_ok=True)
    config = place / "carecase.toml"
    text = release.config(pod)
    for before, after in moved.items():
        text = text.replace(before, after)
    config.write_text(text)
    variables = {**pod.environment, "CARECASE_CONFIG": str(config)}
    for variable, path in pod.environment.items():
        if path in pod.secrets:
            file = place / Path(path).name
            file.write_text(secrets.get(file.name, _FORMS.get(file.name.rpartition("_")[2], VALUE)))
            variables[variable] = str(file)
    return variables
