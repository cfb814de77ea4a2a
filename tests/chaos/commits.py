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
_GATE = 20
"""The key of an advisory lock: each commit of cases holds it shared."""
GATE = (
    "CREATE FUNCTION pass_gate() RETURNS trigger LANGUAGE plpgsql AS"
    f" $$ BEGIN PERFORM pg_advisory_xact_lock_shared({_GATE}); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER pass_gate AFTER INSERT OR UPDATE OF ingest_version ON care_case"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pass_gate()",
)
"""Statements that build the gate in a database of PostgreSQL. A deferred trigger runs in the commit."""
_AT_THE_GATE = (
    "SELECT client_port FROM pg_stat_activity JOIN pg_locks USING (pid)"
    " WHERE locktype = 'advisory' AND NOT granted AND query ILIKE 'COMMIT%'"
)
_COMMITTING = "SELECT FROM pg_stat_activity WHERE client_port = ANY(%s) AND state <> 'idle'"
_GATHER_S, _COME_WITHIN_S, _COMMITTED_WITHIN_S = 0.1, 3.0, 5.0

Database = psycopg.Connection[tuple[int]]


def kill_worker_between_commit_and_completion(system: System, dice: Random) -> None:
    """Processes die that have committed chunks and have not said so: one of a pool, or a worker with all that it has.

    Others may write the same cases, of batches accepted later, before the second attempt at what was committed.
    """
    url = system.stack["databases"]["demo"]["url"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("SELECT pg_advisory_lock(%s)", [_GATE])
        ports = _until(partial(_at_the_gate, database), _COME_WITHIN_S)
        time.sleep(_GATHER_S)  # small batches come together meanwhile, and go in a group
        ports |= _at_the_gate(database)
        owners = {one.laddr.port: one.pid for one in psutil.net_connections("tcp") if one.laddr and one.pid}
        victims = [owners[port] for port in ports if port in owners]
        if not victims:
            raise OSError("no cases are committed just now")
        doomed = [victim for victim in victims if dice.random() < 0.7] or victims
        worker = psutil.Process(doomed[0]).ppid()
        rest = [worker, *(child.pid for child in psutil.Process(worker).children())]
        try:
            _signal(doomed, signal.SIGSTOP)
            database.execute("SELECT pg_advisory_unlock(%s)", [_GATE])
            _until(lambda: not database.execute(_COMMITTING, [[*ports]]).fetchall(), _COMMITTED_WITHIN_S)
        finally:
            # with the whole worker dies who would hand on at once what its processes were notified of
            _signal([*doomed, *(rest if dice.random() < 0.25 else [])], signal.SIGKILL)


def _at_the_gate(database: Database) -> set[int]:
    """The ports from which a transaction is being committed."""
    return {port for (port,) in database.execute(_AT_THE_GATE)}


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _until(look: Callable[[], T], seconds: float) -> T:
    """Look again and again until it is so or the time is over."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.005)
    return found
