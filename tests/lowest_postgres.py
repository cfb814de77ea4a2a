"""The lowest PostgreSQL that tests can have: Debian's package, as `.ci/run` installs it."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.needs import lack
from tests.ports import free_port

from carecase_worker.embedded.children import run_as

VERSION = 15
_PROGRAMS = Path(f"/usr/lib/postgresql/{VERSION}/bin")


@contextmanager
def lowest_postgres(place: Path) -> Iterator[str]:
    """Start one in `place`, which other users can reach; its URL. Skips the test where it is not installed."""
    if not _PROGRAMS.is_dir():
        lack(f"there is no PostgreSQL {VERSION} here; install Debian's postgresql-{VERSION}")
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    data, port = place / "data", free_port()
    data.mkdir()
    if user is not None:
        os.chown(data, user.pw_uid, user.pw_gid)

    def call(program: str, *arguments: str) -> None:
        subprocess.run(
            [_PROGRAMS / program, "-D", data, *arguments],
            **run_as(user),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )

    call("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    call("pg_ctl", "start", "-w", "-s", "-l", str(data / "log"), "-o", options)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "stop", "-s", "-m", "immediate")
