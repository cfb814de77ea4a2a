"""Podman as these tests use it: with a store, networks and an API of its own, so that it meets no other container."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.system import eventually
from tests.meanwhile import meanwhile

PACKAGES = (
    "podman", "buildah", "runc", "catatonit", "netavark", "aardvark-dns", "iptables", "debootstrap", "docker-compose",
)  # fmt: skip
"""Debian's packages; `.ci/run` installs them."""

_PROGRAMS = ("podman", "buildah", "runc", "iptables", "debootstrap", "docker-compose")
_LIBEXEC = ("netavark", "aardvark-dns", "catatonit")
_LIBEXEC_PATHS = ("/usr/lib/podman", "/usr/libexec/podman", "/usr/bin")
_RUN = Path("/run/carecase-containers")
"""Where the engine keeps what ends with the machine; more than 50 characters are too many for it."""
_LAST_HOME = _RUN / "home"
"""A link to where the images of the last engine are kept."""

_CHECK_S = 2
"""How often the health checks run; the engine leaves that to systemd, which need not be there."""


def lacking() -> str:
    """What keeps containers from being run here; empty if nothing does."""
    if os.geteuid() != 0:
        return "only root can"
    found = [name for name in _PROGRAMS if shutil.which(name)]
    found += [name for name in _LIBEXEC if any(Path(path, name).exists() for path in _LIBEXEC_PATHS)]
    missing = [name for name in (*_PROGRAMS, *_LIBEXEC) if name not in found]
    return f"there is no {', no '.join(missing)}; apt-get install {' '.join(PACKAGES)}" if missing else ""


@dataclass(frozen=True)
class Engine:
    """The container engine."""

    home: Path
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """The address of the API that Docker's clients take."""
        return f"unix://{_RUN}/api.sock"

    def run(self, *command: str | Path, cwd: Path | None = None, seconds: float = 600) -> str:
        """The output of a program that uses the engine; its complaint is the assertion's."""
        done = subprocess.run(
            command, cwd=cwd, env=self.environment, capture_output=True, text=True, errors="replace", timeout=seconds
        )
        assert done.returncode == 0, f"{command[:3]}…:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def podman(self, *arguments: str | Path) -> str:
        """The output of a command of podman's."""
        return self.run("podman", *arguments)

    def inspect(self, container: str, template: str) -> str:
        """A part of what is known of a container, by a Go template."""
        return self.podman("container", "inspect", "--format", template, container)

    def logs(self, container: str) -> str:
        """All that a container has said."""
        done = subprocess.run(["podman", "logs", container], env=self.environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    def clear(self) -> None:
        """Remove every container, network and volume, not the images."""
        self.podman("rm", "--all", "--force", "--time", "0")
        self.podman("volume", "prune", "--force")
        self.podman("network", "prune", "--force")


@contextmanager
def started(home: Path) -> Iterator[Engine]:
    """Start the engine whose images are kept in `home`, the only one on this machine. It leaves nothing running."""
    for directory in (home, _RUN):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (_RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _clear_after_the_last()
        engine = Engine(home, _configured(home))
        engine.clear()
        _LAST_HOME.symlink_to(home)
        (_RUN / "api.sock").unlink(missing_ok=True)  # of an engine that was killed; nobody answers there
        service = subprocess.Popen(
            ["podman", "system", "service", "--time=0", engine.address],
            env=engine.environment,
            stderr=(home / "service.log").open("w"),
        )
        try:
            eventually((_RUN / "api.sock").exists, 20, "the engine answers")
            with _checked(engine):
                yield engine
        finally:
            service.terminate()
            service.wait(20)
            engine.clear()


def _clear_after_the_last() -> None:
    """Remove what the engine before this one left if it was killed.

    Its images may be kept elsewhere, but the machine's bridges and addresses are one for all.
    """
    if _LAST_HOME.exists():
        last = _LAST_HOME.resolve()
        Engine(last, _configured(last)).clear()
    _LAST_HOME.unlink(missing_ok=True)


def _configured(home: Path) -> dict[str, str]:
    """Write the engine's configuration; the environment that makes programs use it."""
    (home / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{home}/store"\nrunroot = "{_RUN}/storage"\n'
    )
    # limits that every machine allows, and no systemd
    (home / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'tmp_dir = "{_RUN}/libpod"\n'
        f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{home}/networks"\n'
    )
    return {
        **os.environ,
        "CONTAINERS_CONF": f"{home}/containers.conf",
        "CONTAINERS_STORAGE_CONF": f"{home}/storage.conf",
        "DISABLE_HC_SYSTEMD": "true",
        "DOCKER_HOST": f"unix://{_RUN}/api.sock",
    }


@contextmanager
def _checked(engine: Engine) -> Iterator[None]:
    """Run the health checks of whatever runs, until the end."""

    def podman(*arguments: str) -> str:
        # a container may be gone by now
        return subprocess.run(["podman", *arguments], env=engine.environment, capture_output=True, text=True).stdout

    def check() -> None:
        for container in podman("ps", "--quiet").split():
            podman("healthcheck", "run", container)

    with meanwhile(check, _CHECK_S):
        yield
