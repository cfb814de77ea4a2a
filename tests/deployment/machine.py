"""A machine in namespaces of this one, with systemd as its first process: for the units as they are deployed."""

import os
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from tests.acceptance.system import eventually
from tests.needs import lack, need

_SCRIPT = Path(__file__).with_name("machine.sh")
_SOURCE = Path(__file__).parents[2]
_PYTHON = "/opt/python"
_PATHS = {
    _PYTHON: Path(sys.base_prefix),
    "/opt/packages": Path(sysconfig.get_path("purelib")),
    "/opt/source": _SOURCE / "src",
}
"""This Python and the packages, where units that see no home find them."""
_PROGRAM = f"""#!/bin/sh
export PYTHONHOME={_PYTHON} LD_LIBRARY_PATH={_PYTHON}/lib PYTHONPATH=/opt/source:/opt/packages
exec {_PYTHON}/bin/python3 -m carecase_worker "$@"
"""


@dataclass(frozen=True)
class Machine:
    """A machine that runs; its network and its clock are those of this one."""

    place: Path
    pid: int

    def run(self, *command: str, status: int = 0) -> str:
        """What a command of root's prints; it must end with the status."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--pid", "--cgroup", *command]
        environment = {"PATH": os.environ["PATH"], "SYSTEMD_PAGER": "", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(inside, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def log(self) -> str:
        """What systemd and the units have said."""
        return "".join(path.read_text(errors="replace")[-10_000:] for path in sorted((self.place / "told").iterdir()))


class Console:
    """A terminal on which systemd says what it does, into a file."""

    def __init__(self, file: Path) -> None:
        self._main, self._other = os.openpty()
        self.name = os.ttyname(self._other)
        self._reader = threading.Thread(target=self._copy, args=(file,), daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Close it; what was said stays."""
        os.close(self._other)
        self._reader.join(60)
        os.close(self._main)

    def _copy(self, file: Path) -> None:
        with suppress(OSError), file.open("wb", buffering=0) as output:  # EIO: the other side is closed
            while piece := os.read(self._main, 65_536):
                output.write(piece)


def prepare(place: Path) -> Path:
    """Make the directory of a machine, with systemd's first target and the program of the units; its /etc."""
    etc = place / "etc"
    for path in ("layers", "told", "opt/carecase/bin", "etc/systemd/system"):
        (place / path).mkdir(parents=True)
    program = place / "opt" / "carecase" / "bin" / "carecase"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    (etc / "systemd" / "system" / "default.target").write_text("[Unit]\nDefaultDependencies=no\n")
    return etc


@contextmanager
def booted(place: Path) -> Iterator[Machine]:
    """Start a machine that was prepared; switch it off at the end."""
    unshare = [
        need("unshare", "util-linux"),
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--uts",
        "--ipc",
        "--cgroup",
    ]
    need("/usr/lib/systemd/systemd", "Debian's systemd")
    if os.geteuid() != 0:
        lack("only root can make namespaces")
    mounts = [word for inside, path in _PATHS.items() for word in (str(path), inside)]
    console = Console(place / "told" / "console")
    with control_groups() as groups:
        variables = {
            "CONSOLE": console.name,
            "CONTROL_GROUPS": " ".join(f"{where}:{own}" for where, own in groups.items()),
        }
        process = subprocess.Popen(
            [*unshare, str(_SCRIPT), str(place), *mounts],
            stdin=subprocess.DEVNULL, stdout=(place / "boot.log").open("w"), stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], **variables}, preexec_fn=partial(_enter, groups.values()),
        )  # fmt: skip
        try:
            eventually(lambda: process.poll() is not None or _first(process.pid), 60, "systemd is there")
            assert process.poll() is None, (place / "boot.log").read_text()
            machine = Machine(place, _first(process.pid))
            eventually(lambda: _is_up(machine), 60, "systemd answers")
            yield machine
        finally:
            process.kill()
            process.wait(60)
            console.close()


@contextmanager
def control_groups() -> Iterator[dict[Path, Path]]:
    """Control groups of a machine's own by the hierarchies that they are in; they are removed at the end."""
    top, groups = Path("/sys/fs/cgroup"), {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, own = line.split(":", 2)
        hierarchy = top / (names.removeprefix("name=") or "unified")
        hierarchy = hierarchy if hierarchy.is_dir() else top  # where version 2 is the only one
        group = hierarchy / own.removeprefix("/") / f"machine-of-tests-{os.getpid()}"
        if names != "cpuset" and group.parent.is_dir():  # a new one of those takes nobody in
            _make(group)
            groups[hierarchy] = group
    try:
        yield groups
    finally:
        for group in groups.values():
            eventually(partial(_is_removed, group), 60, f"{group} is empty")


def _make(group: Path) -> None:
    try:
        group.mkdir(exist_ok=True)
    except OSError as error:
        lack(f"{group} cannot be made ({error.strerror}), and systemd needs control groups of its own")


def _enter(groups: Iterable[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text("0")


def _is_removed(group: Path) -> bool:
    """Remove a control group and those below it; return whether it is gone, which takes the end of its processes."""
    for path, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(path).rmdir()
    return not group.exists()


def _first(pid: int) -> int:
    """The first process of a machine, once it is systemd; else 0."""
    return next((one.pid for one in psutil.Process(pid).children() if one.name() == "systemd"), 0)


def _is_up(machine: Machine) -> bool:
    try:
        machine.run("systemctl", "list-units")
    except AssertionError:
        return False
    return True
