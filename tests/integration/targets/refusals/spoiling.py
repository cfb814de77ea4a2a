"""A schema that is spoiled for a while, and attempts at a chunk meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Engine, NullPool, create_engine, text
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import BAD

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CREATED, REFUSED, Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.store.operations.claims import History
from carecase_worker.targets.dialects.upsert import ComparableUpsert
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk

STATES = (
    "08000", "08006", "25006", "25P02", "28000", "28P01", "3D000", "3F000", "42501", "42601", "42703", "42883", "42P01",
    "53000", "53100", "53200", "53300", "55000", "55006", "57000", "57P01", "57P03", "58000", "58030", "XX000", "XX001",
    "P0001", "P0002", "HV000", "22012", "0A000", "F0000", "21000", "ZZ999",
)  # fmt: skip
"""One or more of each class that is otherwise the database's, and some of those that never are."""


@contextmanager
def spoiled(engine: Engine, *statements: str, mend: tuple[str, ...] = ()) -> Iterator[None]:
    """Spoil the schema for a while, by statements; `mend` and the removal of the trigger undo it."""
    run(engine, "DELETE FROM care_case", *statements)
    try:
        yield
    finally:
        run(engine, *mend, "DROP TRIGGER IF EXISTS refuse ON care_case")


def run(engine: Engine, *statements: str) -> None:
    """Run statements as the database's owner."""
    with owner_of(engine.url).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@cache
def owner_of(url: URL) -> Engine:
    """An engine of the database's owner, which keeps no connection; to make one costs more than what it does here."""
    return create_engine(url.set(username="postgres", password="secret"), poolclass=NullPool)


def apply(
    engine: Engine, upsert: ComparableUpsert, *cases: dict[str, Any], seq: int = 1, attempts: int = 0, **options: Any
) -> list[Outcome]:
    """What becomes of a chunk that has been attempted so many times."""
    key = LedgerKey(uuid4(), 0)
    lease = a_lease(key.job_id, seq=seq, history=History(too_slow=attempts), strict=options.pop("strict", False))
    plan = replace(plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease), attempts=attempts)
    return Writer(engine, upsert, **options).write(key, plan)


CASES = [a_case(key) for key in range(10)]
ALL_BUT_THE_BAD = [REFUSED if case["case_Key"] == BAD else CREATED for case in CASES]


@contextmanager
def hasty(engine: Engine, seconds: float) -> Iterator[Engine]:
    """An engine whose statements may take so long, and wait half as long for a lock."""
    url = engine.url.render_as_string(hide_password=False)
    limits = {"statement_timeout_seconds": seconds, "lock_timeout_seconds": seconds / 2}
    made = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url, **limits})))
    yield made
    made.dispose()


def attempted(
    engine: Engine, upsert: ComparableUpsert, *cases: dict[str, Any], seconds: float = 1, seq: int = 1
) -> tuple[int, list[Outcome]]:
    """Attempt a chunk until it is applied: how many attempts were too slow, and the outcomes. Raises other failures."""
    longest = timedelta(seconds=seconds)
    with hasty(engine, seconds) as limited:
        for attempts in range(20):
            with suppress(_TooSlow), told_apart():
                return attempts, apply(limited, upsert, *cases, attempts=attempts, longest=longest, seq=seq)
    raise AssertionError("no attempt came to an end")


class _TooSlow(Exception):
    """An attempt that was too slow."""


@contextmanager
def told_apart() -> Iterator[None]:
    try:
        yield
    except TargetFailure as failure:
        if failure.kind is FailureKind.TOO_SLOW:
            raise _TooSlow from None
        raise
