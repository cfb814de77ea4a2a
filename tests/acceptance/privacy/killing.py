"""A batch whose pool processes are killed while they apply it."""

from typing import Any

from sqlalchemy import create_engine, text
from tests.acceptance.system import System, eventually


def send(system: System, items: list[Any], path: str = "/care-cases-batch", database: str = "demo") -> str:
    return system.send(items, path, database)


def waiting_for_a_lock(system: System) -> set[int]:
    """The sessions of PostgreSQL that wait for somebody else's."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return {pid for (pid,) in system.query(waiting)}


def killed_while_applying(system: System, dead: set[int]) -> set[int]:
    """Kill the pool once it has a session that waits, other than those of the dead; which sessions that were."""
    sessions: set[int] = eventually(lambda: waiting_for_a_lock(system) - dead, what="it is being applied")
    for pid in system.pool():
        system.kill(pid)
    return sessions


def die_with(system: System, items: list[Any]) -> str:
    """Send a batch, and kill three times whoever applies it."""
    engine = create_engine(system.stack["databases"]["demo"]["url"])
    with engine.connect() as connection:
        connection.execute(text("LOCK TABLE care_case IN ACCESS EXCLUSIVE MODE"))
        job_id = send(system, items)
        dead: set[int] = set()
        for _ in range(3):
            dead |= killed_while_applying(system, dead)
    engine.dispose()
    system.final(job_id)
    return job_id
