"""What the killer does to a running system. A fault returns once it is over; what follows is the system's work."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from urllib.parse import urlsplit

import psutil
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from tests.acceptance.system import System, eventually
from tests.chaos.clients import TRIPS
from tests.chaos.clocks import set_clock
from tests.chaos.commits import kill_worker_between_commit_and_completion

Fault = Callable[[System, Random], None]
POSTMASTER_TITLES = ("checkpointer", "background writer", "walwriter", "autovacuum", "logical replication", "io worker")


def _any_worker(system: System, dice: Random) -> int:
    return int(dice.choice(system.stack["processes"]["worker"]))


def _pool_of(worker: int) -> list[int]:
    return [child.pid for child in psutil.Process(worker).children()]


def _backends(system: System) -> list[int]:
    """The processes of PostgreSQL that serve a connection."""
    family = psutil.Process(system.pid("postgresql")).children()
    return [one.pid for one in family if not any(title in " ".join(one.cmdline()) for title in POSTMASTER_TITLES)]


def _store(system: System) -> redis.Redis:
    return redis.Redis.from_url(system.stack["redis"]["url"])


def _frozen(pids: list[int], seconds: float) -> None:
    for number, wait in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0)):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(wait)  # the fault lasts as long as chance says


def kill_pool_process(system: System, dice: Random) -> None:
    os.kill(dice.choice(_pool_of(_any_worker(system, dice))), signal.SIGKILL)


def kill_worker(system: System, dice: Random) -> None:
    os.kill(_any_worker(system, dice), signal.SIGKILL)


def kill_intake(system: System, dice: Random) -> None:
    os.kill(system.pid("intake"), signal.SIGKILL)


def kill_valkey(system: System, dice: Random) -> None:
    os.kill(system.pid("redis"), signal.SIGKILL)


def kill_postgres_backend(system: System, dice: Random) -> None:
    os.kill(dice.choice(_backends(system)), signal.SIGKILL)


def kill_postmaster(system: System, dice: Random) -> None:
    os.kill(system.pid("postgresql"), signal.SIGKILL)


def stop_worker_warmly(system: System, dice: Random) -> None:
    os.kill(_any_worker(system, dice), signal.SIGTERM)


def freeze_pool_process(system: System, dice: Random) -> None:
    _frozen([dice.choice(_pool_of(_any_worker(system, dice)))], dice.uniform(0.5, 4))


def freeze_worker(system: System, dice: Random) -> None:
    _frozen([_any_worker(system, dice)], dice.uniform(0.5, 4))


def freeze_intake(system: System, dice: Random) -> None:
    _frozen([system.pid("intake")], dice.uniform(0.5, 3))


def freeze_valkey(system: System, dice: Random) -> None:
    _frozen([system.pid("redis")], dice.uniform(0.5, 7))


def hang_postgres(system: System, dice: Random) -> None:
    """The database hangs: its connections stay open and nothing answers."""
    main = system.pid("postgresql")
    _frozen([main, *(one.pid for one in psutil.Process(main).children())], dice.uniform(1, 12))


def kill_pool_while_valkey_hangs(system: System, dice: Random) -> None:
    """Processes die that have said to a Valkey that hangs what they have committed, and hear no answer."""
    valkey = system.pid("redis")
    os.kill(valkey, signal.SIGSTOP)
    try:
        time.sleep(dice.uniform(0.2, 1.5))  # the fault lasts as long as chance says
        for worker in system.stack["processes"]["worker"]:
            for pid in _pool_of(worker):
                os.kill(pid, signal.SIGKILL)
    finally:
        os.kill(valkey, signal.SIGCONT)


def cut_broker_connections(system: System, dice: Random) -> None:
    _store(system).execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def reset_broker_connections(system: System, dice: Random) -> None:
    """Connections are reset, idle ones too, as by a balancer. It takes root, and a kernel that lets it."""
    port = str(urlsplit(system.stack["redis"]["url"]).port)
    reset = subprocess.run(["ss", "-K", "-tnH", "sport", "=", port], capture_output=True, text=True, check=False)
    if not reset.stdout:
        raise OSError("no connection can be reset here")


def fill_valkey(system: System, dice: Random) -> None:
    """Valkey answers OOM to what needs memory."""
    _configured_for_a_while(system, dice, "maxmemory", "1mb")


def deny_valkey_writes(system: System, dice: Random) -> None:
    """Valkey refuses every write, as with a full disk or when it has become a replica."""
    _configured_for_a_while(system, dice, "min-replicas-to-write", "1")


def _configured_for_a_while(system: System, dice: Random, name: str, value: str) -> None:
    """Set a number of Valkey's. It is what it was again at the end, whatever fails between."""
    before = str(_store(system).config_get(name)[name])
    try:
        _store(system).config_set(name, value)
        time.sleep(dice.uniform(0.5, 2))  # the fault lasts as long as chance says
    finally:
        eventually(partial(_set, system, name, before), what=f"{name} is {before} again")


def _set(system: System, name: str, value: str) -> bool:
    """Whether Valkey took it; it may be starting again just now."""
    try:
        return bool(_store(system).config_set(name, value))
    except redis.RedisError:
        return False


def fill_disk(system: System, dice: Random) -> None:
    """The disk under Valkey is full, if it has one of its own; Valkey ends at the first write that it cannot keep."""
    disk = system.data_dir / "valkey"
    if not disk.is_mount():
        raise OSError("Valkey has no disk of its own here")
    ballast = disk / "ballast"
    try:
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        time.sleep(dice.uniform(0.5, 2))  # the fault lasts as long as chance says
    finally:
        ballast.unlink()


def refuse_connections(system: System, dice: Random) -> None:
    """The database refuses connections, for longer than the longest backoff."""
    _allow_connections(system, False)
    time.sleep(dice.uniform(4.5, 7))  # the fault lasts as long as chance says
    eventually(lambda: _allow_connections(system, True), what="the database allows connections again")


def _allow_connections(system: System, allowed: bool) -> bool:
    """Whether the server took it; it may be starting again just now."""
    server = system.stack["databases"]["demo"]["url"].removesuffix("demo") + "postgres"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"ALTER DATABASE demo ALLOW_CONNECTIONS {allowed}"))
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'demo'"))
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()
    return True


FAILING = (
    "PERFORM there_is_no_such_function();",
    *(f"RAISE EXCEPTION 'no' USING ERRCODE = '{state}';" for state in ("08006", "40001", "42501", "53100", "57P03")),
)
"""What a trigger of PostgreSQL does; by their SQLSTATE alone all of these would be the database's own trouble."""
FAILING_IN_SQLITE = ("SELECT RAISE(ABORT, 'no');", "SELECT RAISE(ROLLBACK, 'no');", "SELECT json_extract('{', '$');")


def fail_over_some_cases(system: System, dice: Random) -> None:
    """A trigger fails over some cases for a while, in both databases."""
    on, where = "BEFORE INSERT ON care_case", f"WHEN (NEW.case_reason = '{TRIPS}')"
    spoil = {
        "demo": (
            "CREATE OR REPLACE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {dice.choice(FAILING)} RETURN NEW; END $$",
            f"CREATE TRIGGER trip {on} FOR EACH ROW {where} EXECUTE FUNCTION trip()",
        ),
        "demo_sqlite": (f"CREATE TRIGGER trip {on} {where} BEGIN {dice.choice(FAILING_IN_SQLITE)} END",),
    }
    mend = {"demo": "DROP TRIGGER IF EXISTS trip ON care_case", "demo_sqlite": "DROP TRIGGER IF EXISTS trip"}
    try:
        for database, statements in spoil.items():
            for statement in statements:
                _execute(system, statement, database)
        time.sleep(dice.uniform(1, 4))  # the fault lasts as long as chance says
    finally:
        for database, statement in mend.items():
            eventually(partial(_execute, system, statement, database), what="the trigger is gone")


def _execute(system: System, statement: str, database: str) -> bool:
    """Whether the database took it; it may be starting again just now."""
    try:
        system.execute(statement, database)
    except SQLAlchemyError:
        return False
    return True


def jump_an_intakes_clock(system: System, dice: Random) -> None:
    """A day ahead and more for a while, then right again; the other intake's is right all the time."""
    set_clock(system, dice.choice(("+1d", "+30d", "+90s")))
    time.sleep(dice.uniform(2, 4))  # libfaketime looks each second
    set_clock(system, "+0")


WEIGHTS: dict[Fault, int] = {
    kill_pool_process: 6,
    kill_pool_while_valkey_hangs: 3,
    kill_worker_between_commit_and_completion: 6,
    kill_worker: 2,
    kill_intake: 2,
    kill_valkey: 3,
    kill_postgres_backend: 3,
    kill_postmaster: 2,
    stop_worker_warmly: 2,
    freeze_pool_process: 3,
    freeze_worker: 2,
    freeze_intake: 2,
    freeze_valkey: 2,
    hang_postgres: 2,
    cut_broker_connections: 3,
    reset_broker_connections: 3,
    fill_valkey: 2,
    deny_valkey_writes: 2,
    fill_disk: 2,
    refuse_connections: 1,
    fail_over_some_cases: 2,
    jump_an_intakes_clock: 4,
}
