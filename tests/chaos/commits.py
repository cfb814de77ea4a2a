"""Deaths between a commit and its completion: the moment that the ledger is for.

Such a moment is too short to be met by chance. Valkey cannot make it longer: what a process has sent to a Valkey that
hangs is still carried out once the process is dead. So commits wait at a gate in the database, and whoever waits there
is stopped before the gate is opened: it commits, and nobody has it say so.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import TypeVar

import psutil
import psycopg
from tests.acceptance.system import System

T = TypeVar("T")
_GATE, _BATCH = 20, 21
"""Keys of advisory locks: a commit of cases holds the gate's, shared, and one for each batch that it is of."""
GATE = (
    "CREATE FUNCTION mark_batch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    f" PERFORM pg_advisory_xact_lock_shared({_BATCH}, hashint8(NEW.ingest_version >> 20)); RETURN NULL; END $$",
    "CREATE TRIGGER mark_batch AFTER INSERT OR UPDATE OF ingest_version ON care_case"
    " FOR EACH ROW EXECUTE FUNCTION mark_batch()",
    "CREATE FUNCTION pass_gate() RETURNS trigger LANGUAGE plpgsql AS"
    f" $$ BEGIN PERFORM pg_advisory_xact_lock_shared({_GATE}); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER pass_gate AFTER INSERT OR UPDATE OF ingest_version ON care_case"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pass_gate()",
)
"""Statements that build the gate in a database of PostgreSQL. A deferred trigger runs in the commit."""
_AT_THE_GATE = (
    "SELECT client_port FROM pg_stat_activity JOIN pg_locks USING (pid)"
    " WHERE locktype = 'advisory' AND query ILIKE 'COMMIT%%'"
    f" GROUP BY client_port HAVING bool_or(NOT granted) AND count(*) FILTER (WHERE classid = {_BATCH}) >= %s"
)
_COMMITTING = "SELECT FROM pg_stat_activity WHERE client_port = ANY(%s) AND state <> 'idle'"
_GROUPS = 0.75
"""The part of all strikes that wait for a group: a commit of two batches and more."""
_CLOSED_S, _COME_WITHIN_S, _COMMITTED_WITHIN_S = 0.3, 6.0, 5.0

Database = psycopg.Connection[tuple[int]]


def kill_worker_between_commit_and_completion(system: System, dice: Random) -> None:
    """Processes die that have committed chunks and have not said so: one of a pool, or a worker with all that it has.

    Others may write the same cases, of batches accepted later, before the second attempt at what was committed.
    """
    url = system.stack["databases"]["demo"]["url"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as database:
        ports = _closed_before(database, batches=2 if dice.random() < _GROUPS else 1)
        doomed = _owners(ports, database.info.port)
        worker = psutil.Process(doomed[0]).ppid()
        rest = [worker, *(child.pid for child in psutil.Process(worker).children())]
        try:
            _signal(doomed, signal.SIGSTOP)
            database.execute("SELECT pg_advisory_unlock(%s)", [_GATE])
            _until(lambda: not database.execute(_COMMITTING, [ports]).fetchall(), _COMMITTED_WITHIN_S)
        finally:
            # with the whole worker dies who would hand on at once what its processes were notified of
            _signal([*doomed, *(rest if dice.random() < 0.25 else [])], signal.SIGKILL)


def _closed_before(database: Database, batches: int) -> list[int]:
    """Close the gate before commits of so many batches, or of fewer if none comes; return the ports they come from.

    It is closed for a moment each time, since processes that wait there with other chunks keep a group from coming.
    Raises OSError if nothing is committed at all.
    """
    end = time.monotonic() + _COME_WITHIN_S
    while True:
        is_last = time.monotonic() > end
        database.execute("SELECT pg_advisory_lock(%s)", [_GATE])
        if ports := _until(partial(_at_the_gate, database, 1 if is_last else batches), _CLOSED_S):
            return ports
        database.execute("SELECT pg_advisory_unlock(%s)", [_GATE])
        if is_last:
            raise OSError("no cases are committed just now")


def _at_the_gate(database: Database, batches: int) -> list[int]:
    """The ports from which transactions of so many batches are being committed."""
    return [port for (port,) in database.execute(_AT_THE_GATE, [batches])]


def _owners(ports: list[int], server: int) -> list[int]:
    """The processes that are connected from these ports to the server; others may have the same port to elsewhere."""
    return [
        one.pid
        for one in psutil.net_connections("tcp")
        if one.pid and one.raddr and one.raddr.port == server and one.laddr.port in ports
    ]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _until(look: Callable[[], T], seconds: float) -> T:
    """Look again and again until it is so or the time is over."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.005)  # nothing in the database says when somebody waits for a lock
    return found
