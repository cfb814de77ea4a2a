"""The embedded servers' commands and files: durable, on this machine only, without cases in their logs."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.system import eventually

from carecase_worker.embedded.children import Command
from carecase_worker.embedded.servers import postgres, valkey, write_private
from carecase_worker.errors import StackError
from carecase_worker.store.redis.acl import app_rules, flower_rules

PASSWORDS = {"default": "one", "carecase": "two", "flower": "three"}
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}


def test_valkey_is_durable_at_every_write_and_its_users_may_do_their_part(tmp_path: Path) -> None:
    place = tmp_path / 'a "quoted" \\ place'
    command = valkey(place, 6380, PASSWORDS, tmp_path / "log", ENVIRONMENT)
    config = place / "valkey.conf"
    assert config.read_text().splitlines() == [
        'bind "127.0.0.1"',
        'port "6380"',
        f'dir "{tmp_path}/a \\"quoted\\" \\\\ place"',
        'appendonly "yes"',
        'appendfsync "always"',
        'save ""',
        'maxmemory "4gb"',
        'maxmemory-policy "noeviction"',
        'rdbcompression "no"',
        'daemonize "no"',
        "user default on >one ~* &* +@all",
        f"user carecase on >two {app_rules('c:', 'b:')}",
        f"user flower on >three {flower_rules('b:')}",
    ]
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    program, argument = command.argv
    assert (Path(program).name, argument) == ("valkey-server", str(config))
    assert command == Command("redis", [program, argument], ENVIRONMENT, tmp_path / "log")


def made_before(tmp_path: Path) -> Path:
    """The directory of a cluster that was made by an earlier start."""
    cluster = tmp_path / "postgres"
    cluster.mkdir()
    (cluster / "PG_VERSION").write_text("18\n")
    return cluster


def test_postgresql_listens_here_only_and_logs_no_statement(tmp_path: Path) -> None:
    cluster = made_before(tmp_path)
    command = postgres(cluster, 5433, "password", tmp_path / "log", ENVIRONMENT)
    program, *arguments = command.argv
    assert Path(program).name == "postgres"
    assert arguments[:2] == ["-D", str(cluster)]
    assert arguments[2::2] == ["-c"] * 9
    assert arguments[3::2] == [
        "port=5433", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200",
        "shared_buffers=256MB", "max_wal_size=4GB", "log_min_messages=fatal", "log_min_error_statement=panic",
        "log_error_verbosity=terse",
    ]  # fmt: skip
    assert (command.role, command.environment, command.log) == ("postgresql", ENVIRONMENT, tmp_path / "log")
    assert command.stop_signal is signal.SIGINT, "a fast shutdown, which waits for no client"
    user = command.user.pw_name if command.user else None
    assert user == ("embedded_postgres" if os.geteuid() == 0 else None), "it refuses to run as root"
    assert not (tmp_path / "postgres.password").exists()


@pytest.mark.parametrize(
    ("content", "stays"),
    [
        (f"{os.getpid()}\n/some/where\n", False),  # this is pytest's process by now
        (f"{os.getpid()}", False),
        ("999999999\n", True),  # of no process: PostgreSQL sees that itself
        ("no number\n", True),
        ("", True),
    ],
    ids=["another's", "another's, cut off", "nobody's", "no number", "empty"],
)
def test_the_lock_of_a_server_whose_process_id_is_anothers_by_now_goes_before_a_start(
    tmp_path: Path, content: str, stays: bool
) -> None:
    cluster = made_before(tmp_path)
    command = postgres(cluster, 5433, "password", tmp_path / "log", ENVIRONMENT)
    command.before_start()
    lock = cluster / "postmaster.pid"
    lock.write_text(content)
    command.before_start()
    assert lock.exists() == stays


def test_the_lock_of_a_server_that_runs_stays(tmp_path: Path) -> None:
    server = tmp_path / "programs" / "postgres"
    server.parent.mkdir()
    server.symlink_to(shutil.which("sleep") or "")
    cluster = made_before(tmp_path)
    with subprocess.Popen([server, "300"]) as running:
        eventually(lambda: Path(f"/proc/{running.pid}/comm").read_text() == "postgres\n")
        lock = cluster / "postmaster.pid"
        lock.write_text(f"{running.pid}\n{cluster}\n")
        postgres(cluster, 5433, "password", tmp_path / "log", ENVIRONMENT).before_start()
        running.kill()
    assert lock.exists()


def test_a_cluster_that_cannot_be_made_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised:
        postgres(tmp_path / "postgres", 5433, "", tmp_path / "log", ENVIRONMENT)  # initdb refuses an empty password
    lines, *reason = str(raised.value).splitlines()
    assert lines == "PostgreSQL could not make its data directory."
    assert any("password" in line for line in reason)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands a cluster to another user")
def test_what_is_left_of_a_cluster_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    private, left = tmp_path / "private", tmp_path / "private" / "postgres" / "left"
    left.mkdir(parents=True)
    private.chmod(0o700)
    postgres(left.parent, 5433, "password", tmp_path / "log", ENVIRONMENT)
    assert not left.exists()
    assert (left.parent / "PG_VERSION").read_text() == "18\n"
    lines = (left.parent / "pg_hba.conf").read_text().splitlines()
    methods = {line.split()[-1] for line in lines if line.strip() and not line.startswith("#")}
    assert methods == {"scram-sha-256"}, "nobody on this machine connects without the password"
    status = left.parent.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, pwd.getpwnam("embedded_postgres").pw_uid)
    assert stat.S_IMODE(private.stat().st_mode) == 0o701, "its user may pass, and not look around"
    assert [path.name for path in private.iterdir()] == ["postgres"], "the password is nowhere"


def test_a_private_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    file = tmp_path / "stack.json"
    file.write_text("old, and longer")
    file.chmod(0o644)
    write_private(tmp_path / "stack.json.new", "what was left of a write that was cut off")
    with file.open() as reader:
        write_private(file, "new ü")
        assert reader.read() == "old, and longer", "who reads it reads all of one or the other"
    assert file.read_text("utf-8") == "new ü"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]
