"""The user that PostgreSQL runs as where all else is root's, on a machine that has not got it yet."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.acceptance.system import eventually
from tests.needs import lack, need

USER = "embedded_postgres"
START = """
import sys
from pathlib import Path
from carecase_worker.embedded.servers import postgres
command = postgres(Path(sys.argv[1]), 5433, "password", Path("log"), {})
print(command.user.pw_uid)
"""
USERADD = """#!/bin/sh
echo $$ >>"$CALLS"
until [ -e "$GO" ]; do sleep 0.05; done # the other start comes meanwhile
exec {useradd} "$@"
"""


def without_the_user(etc: Path) -> None:
    """A copy of this machine's accounts, as they are before the first start."""
    subprocess.run(["cp", "--archive", "/etc", str(etc)], check=True)
    for name in ("passwd", "shadow", "group", "gshadow"):
        lines = (etc / name).read_text().splitlines(keepends=True)
        (etc / name).write_text("".join(line for line in lines if not line.startswith(f"{USER}:")))


def test_two_first_starts_at_once_run_it_as_the_same_user(tmp_path: Path) -> None:
    unshare, useradd = need("unshare", "util-linux"), need("useradd", "passwd")
    if subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode:
        lack("only root can give a process its own /etc, and in some containers nobody can")
    etc, programs, calls, go = (tmp_path / name for name in ("etc", "programs", "calls", "go"))
    without_the_user(etc)
    programs.mkdir()
    (programs / "useradd").write_text(USERADD.format(useradd=useradd))
    (programs / "useradd").chmod(0o755)
    calls.touch()
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls), "GO": str(go)}

    def start(name: str) -> "subprocess.Popen[str]":
        cluster = tmp_path / name
        cluster.mkdir()
        (cluster / "PG_VERSION").write_text("18\n")  # it is there, so only the user is missing
        inside = [sys.executable, "-c", START, str(cluster)]
        command = [unshare, "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc), *inside]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def waits(process: "subprocess.Popen[str]") -> bool:
        locks = Path("/proc/locks").read_text().splitlines()
        return any("-> FLOCK" in line and f" {process.pid} " in line for line in locks)

    with ExitStack() as stack:
        one = stack.enter_context(start("one"))
        stack.callback(go.touch)  # or else nobody would end
        eventually(calls.read_text, 60, "the first one makes the user")
        two = stack.enter_context(start("two"))
        stack.callback(go.touch)
        eventually(lambda: waits(two) or len(calls.read_text().splitlines()) == 2, 60, "the second one finds no user")
        go.touch()
        answers = [process.communicate(timeout=60) for process in (one, two)]
    (made,) = (line for line in (etc / "passwd").read_text().splitlines() if line.startswith(f"{USER}:"))
    assert answers == [(f"{made.split(':')[2]}\n", "")] * 2
