"""`carecase up`: the whole system in one data directory, kept running until stopped by a signal."""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from types import MappingProxyType
from typing import IO
from urllib.request import ProxyHandler, Request, build_opener

from carecase_worker.clock import Clock, Sleep
from carecase_worker.embedded.children import Children, Command
from carecase_worker.embedded.observer import prometheus, prometheus_program
from carecase_worker.embedded.servers import postgres, require_installed, valkey
from carecase_worker.embedded.stack import (
    FLOWER_USER,
    STACK_FILE,
    Ports,
    Stack,
    choose_ports,
    free_local_ports,
    keep_ports,
    ports_of,
    secrets_of,
)
from carecase_worker.errors import SchemaRefused, StackError, StackStopped, StoreUnavailable, TargetFailure
from carecase_worker.settings.loading import load, process_environment, settings_variables
from carecase_worker.settings.model import Settings
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.targets.contents import holds_cases
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import create_database, upgrade
from carecase_worker.targets.schema.state import schema_differences
from carecase_worker.targets.tenants import tenants_of

_NEEDED_BYTES = 500 << 20
_TICK = timedelta(milliseconds=100)
_SERVERS = ("redis", "postgresql")
_READY_WITHIN_S = 180
_STOP_WITHIN_S = 20
_TURN_WITHIN_S = 300
_DIRECTLY = build_opener(ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `carecase up`."""

    data_dir: Path
    port: int | None
    workers: int
    config: Path | None
    observe: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A running system; `notes` are lines for its user, `holds_cases` is False in a new data directory."""

    stack_file: Path
    holds_cases: bool
    notes: tuple[str, ...]


def run(options: Options, clock: Clock, sleep: Sleep, on_ready: Callable[[Started], None]) -> None:
    """Start everything, call `on_ready` in a thread, return after SIGINT or SIGTERM.

    Raises StackError, with what to do, if the system cannot start.
    """
    os.umask(0o077)
    require_installed()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with _data_dir(options.data_dir) as data_dir:
        children = Children(sleep, stopped.is_set)
        observer = prometheus_program() if options.observe else None
        try:
            started, write = _start(data_dir, options, children, clock, observer)
            Thread(target=on_ready, args=(started,), daemon=True).start()
            while not stopped.is_set():
                if children.restart_exited():
                    write()
                sleep(_TICK)
        except StackStopped:
            return
        finally:
            children.stop(_STOP_WITHIN_S, but=_SERVERS)
            children.stop(_STOP_WITHIN_S)
            (data_dir / STACK_FILE).unlink(missing_ok=True)


@contextmanager
def _data_dir(path: Path) -> Iterator[Path]:
    """Create and lock the data directory. Raises StackError if another system runs in it or the disk is full."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir = path.resolve()
        (data_dir / "logs").mkdir(exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise StackError(
            f"{path}: cannot be used as data directory ({error.strerror}). Choose one with --data-dir."
        ) from None
    if set("?#%") & set(str(data_dir)):
        raise StackError(f"{data_dir}: has a character that a database URL cannot have. Choose one with --data-dir.")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StackError(
                f"{data_dir}: another carecase up runs in it. Stop that, or choose another directory with --data-dir."
            ) from None
        data_dir.chmod(0o700)
        free = shutil.disk_usage(data_dir).free
        if free < _NEEDED_BYTES:
            raise StackError(
                f"{data_dir}: {free >> 20} MiB are free on this disk, {_NEEDED_BYTES >> 20} are needed."
                " Free some, or choose a directory on another disk with --data-dir."
            )
        yield data_dir


def _start(
    data_dir: Path, options: Options, children: Children, clock: Clock, observer: str | None
) -> tuple[Started, Callable[[], None]]:
    """Start everything, one start at a time on this machine, since two could choose the same free ports.

    `observer` is the path of Prometheus, if requested. Returns the running system, and a function that rewrites
    stack.json.
    """
    with _start_lock(Path(tempfile.gettempdir()) / f"carecase-up-{os.getuid()}.lock") as lock:
        children.wait_for("another carecase up that is starting", lambda: _is_locked(lock), _TURN_WITHIN_S)
        usual = ports_of(data_dir)
        config = options.config.resolve() if options.config else None
        stack = Stack(data_dir, choose_ports(options.port, usual), secrets_of(data_dir), config)
        settings = load(options.config, {**settings_variables(), **stack.environment()})
        used = _start_servers(stack, settings, children)
        started = Started(data_dir / STACK_FILE, used, tuple(_moved(options, usual, stack.ports)))
        worker_ports = free_local_ports(options.workers) if observer else [0] * options.workers
        _start_roles(stack, children, worker_ports, stack.clients(settings.jwt, clock.now())[0])
        if observer:
            _start_observer(observer, stack, children, worker_ports)

        def write() -> None:
            stack.write({"up": os.getpid(), **children.pids()}, settings.jwt, clock)

        keep_ports(data_dir, stack.ports)
        write()
    return started, write


def _start_lock(path: Path) -> IO[str]:
    """Open the lock file of starts on this machine. Raises StackError if it belongs to another user."""
    fault = "belongs to another user"
    try:
        lock = os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600), "r+")
        if os.fstat(lock.fileno()).st_uid == os.getuid():
            return lock
        lock.close()
    except OSError as error:
        fault = f"cannot be opened ({error.strerror})"
    raise StackError(f"{path}: {fault}. Remove it, or set TMPDIR to a directory of your own.")


def _is_locked(lock: IO[str]) -> bool:
    """Try to lock without waiting; return whether this process has the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _moved(options: Options, usual: Ports, now: Ports) -> Iterator[str]:
    """Yield a line for each usual port that is taken."""
    if options.port is None and now.intake != usual.intake:
        yield f"Port {usual.intake} is taken by another program: the API listens on {now.intake}. --port chooses one."
    if now.flower != usual.flower:
        yield f"Port {usual.flower} is taken by another program: Flower listens on {now.flower}."


def _start_servers(stack: Stack, settings: Settings, children: Children) -> bool:
    """Start Valkey and PostgreSQL, and migrate the databases; return whether one of them has cases."""
    environment, logs = process_environment(), stack.data_dir / "logs"
    passwords = stack.redis_passwords()
    redis = children.start(
        valkey(stack.data_dir / "valkey", stack.ports.redis, passwords, logs / "redis.log", environment)
    )
    cluster = stack.data_dir / "postgres"
    database = children.start(
        postgres(cluster, stack.ports.postgres, stack.secrets.postgres, logs / "postgresql.log", environment)
    )
    client = StoreClient(settings.redis)
    children.wait_ready(redis, lambda: _answers(client), _READY_WITHIN_S)
    children.wait_ready(database, lambda: create_database(stack.postgres_url("postgres"), "demo"), _READY_WITHIN_S)
    used = False
    for name in stack.database_urls():
        engine = engine_for(tenants_of(settings.databases)[name])
        try:
            if schema_differences(engine):  # a newer schema is left as it is, if this version can work with it
                upgrade(engine)
            used = used or holds_cases(engine)
        except (TargetFailure, SchemaRefused) as error:
            raise StackError(f"databases.{name}: {error}") from None
    return used


def _start_roles(stack: Stack, children: Children, worker_ports: Sequence[int], client: Mapping[str, str]) -> None:
    """Start the roles; return once intake and Flower serve this system's own client and user."""
    environment = {**process_environment(), **settings_variables(), **stack.environment()}
    if stack.config:
        environment["CARECASE_CONFIG"] = str(stack.config)
    logs = stack.data_dir / "logs"
    for number, port in enumerate(worker_ports, 1):
        own = {**environment, "CARECASE_WORKER_PORT": str(port)} if port else environment
        children.start(_role("worker", own, logs / f"worker-{number}.log"))
    intake = children.start(_role("intake", environment, logs / "intake.log"))
    flower = children.start(_role("flower", environment, logs / "flower.log"))
    url = f"http://127.0.0.1:{stack.ports.intake}"
    own = {"x-api-key": client["api_key"], "Authorization": f"Bearer {client['bearer']}"}
    # another system's may listen there by now, while the one here cannot: it is ready, and knows no client of this one
    children.wait_ready(
        intake, lambda: _serves(f"{url}/readyz") and _serves(f"{url}/jobs?pageSize=1", own), _READY_WITHIN_S
    )
    workers = f"http://127.0.0.1:{stack.ports.flower}/flower/api/workers"
    user = {"Authorization": f"Basic {b64encode(f'{FLOWER_USER}:{stack.secrets.flower}'.encode()).decode()}"}
    children.wait_ready(flower, lambda: _serves(workers, user), _READY_WITHIN_S)


def _start_observer(program: str, stack: Stack, children: Children, worker_ports: Sequence[int]) -> None:
    port, logs = stack.ports.prometheus, stack.data_dir / "logs"
    targets = {"carecase-intake": [stack.ports.intake], "carecase-worker": worker_ports}
    started = children.start(prometheus(program, stack.data_dir / "prometheus", port, targets, logs))
    children.wait_ready(started, lambda: _serves(f"http://127.0.0.1:{port}/-/ready"), _READY_WITHIN_S)


def _role(role: str, environment: dict[str, str], log: Path) -> Command:
    return Command(role, [sys.executable, "-m", "carecase_worker", role], environment, log)


def _answers(client: StoreClient) -> bool:
    try:
        client.ping()
    except StoreUnavailable:
        return False
    return True


def _serves(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> bool:
    try:
        request = Request(url, headers=dict(headers))  # noqa: S310  # of this machine, by HTTP
        with _DIRECTLY.open(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):  # another program has the port, and does not speak HTTP
        return False
