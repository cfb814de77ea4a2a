"""A session keeps the memory that a statement frees: the server does not take each chunk's megabytes anew."""

from pathlib import Path

from sqlalchemy import text
from tests.integration.targets.databases import engine_at

THREE_MEGABYTES = text("SELECT array_length(array_agg(repeat('x', 100000)), 1) FROM generate_series(1, 30)")
PAGES_OF_THEM = 3_000_000 // 4096
TIMES = 10


def page_faults(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def test_a_statement_takes_the_memory_that_the_one_before_has_freed(url: str) -> None:
    with engine_at(url) as engine, engine.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(THREE_MEGABYTES)
        before = page_faults(pid)
        for _ in range(TIMES):
            connection.execute(THREE_MEGABYTES)
        assert page_faults(pid) - before < PAGES_OF_THEM * TIMES / 10
