"""The bill of materials that `make sbom` writes: every package of the image, by the version and hashes of its lock."""

import json
import re
import subprocess
from pathlib import Path

from tests.environments import ROOT


def test_it_lists_what_is_in_the_image_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "made" / "sbom.json"
    made = ("make", "--silent", "--old-file=.venv/.ready", "sbom", f"SBOM={target}")
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True, timeout=600)
    document = json.loads(target.read_text())
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "carecase-worker")
    listed = {
        part["purl"]: {digest["content"] for about in part["externalReferences"] for digest in about.get("hashes", ())}
        for part in document["components"]
    }
    lock = (ROOT / "requirements-image.lock").read_text()
    locked = {
        f"pkg:pypi/{name}@{version}": set(re.findall(r"sha256:([0-9a-f]{64})", rest))
        for name, version, rest in re.findall(
            r"^([a-z0-9-]+)(?:\[[^]]*\])?==([^\s;]+)(.*(?:\n\s+.*)*)", lock, re.MULTILINE
        )
    }
    assert listed == locked
