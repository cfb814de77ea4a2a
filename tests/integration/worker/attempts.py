"""One attempt at a chunk, in a process that may die of it; and what stands in for a part of it to make it die."""

import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.clock import NEVER, SystemRandom
from carecase_worker.errors import FailureKind, StoreUnavailable, TargetFailure
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.dialects.upsert import ComparableUpsert, Compared, Fault, Newer, StoredCase, Turn, Written
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.plan import Wave, WaveOfRows, WritePlan
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Members, Writer
from carecase_worker.worker.attempts.attempt import Applied, Applier
from carecase_worker.worker.attempts.group import members_of, run_group
from carecase_worker.worker.metrics import Meter, unmetered

POINTS = (
    "before claim", "after claim", "before write", "before upsert", "after upsert", "after ledger row", "before commit",
    "after commit", "before complete", "after complete",
)  # fmt: skip
"""The steps of an attempt, in order."""

RETRY_DEADLINE = timedelta(minutes=2)
"""So short that two failures may lie so far apart: of a longer time without any, not all counts."""

Step = Callable[[str], None]
"""Told the name of each step as it is reached; may never come back."""


def nothing(_: str) -> None:
    """The step that does nothing."""


def dies_at(point: str) -> Step:
    """The step that kills its process at one point."""

    def step(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def away_at(point: str, times: int = sys.maxsize) -> Step:
    """The step at which Redis is away, so many times."""
    left = iter(range(times))

    def step(reached: str) -> None:
        if reached == point and next(left, None) is not None:
            raise StoreUnavailable("away")

    return step


def fails_at(point: str, kind: FailureKind) -> Step:
    """The step at which the target database fails."""

    def step(reached: str) -> None:
        if reached == point:
            raise TargetFailure(kind)

    return step


@dataclass(frozen=True)
class SteppedStore:
    """A job store that calls a step before and after each operation, of one chunk or of a group."""

    store: Stores
    step: Step

    def __getattr__(self, part: str) -> Any:
        return Stepped(getattr(self.store, part), self.step)


@dataclass(frozen=True)
class Stepped:
    """A part of such a store."""

    part: Any
    step: Step

    def __getattr__(self, operation: str) -> Any:
        real, name = getattr(self.part, operation), operation.partition("_")[0]

        def stepped(*arguments: Any, **named: Any) -> Any:
            self.step(f"before {name}")
            answer = real(*arguments, **named)
            self.step(f"after {name}")
            return answer

        return stepped


@dataclass(frozen=True)
class SteppedWriter:
    """A writer that calls a step before and after each write."""

    writer: Writer
    step: Step

    def write(self, key: LedgerKey, plan: WritePlan) -> list[Outcome]:
        self.step("before write")
        outcomes = self.writer.write(key, plan)
        self.step("after commit")
        return outcomes

    def write_group(self, members: Members) -> list[list[Outcome] | None]:
        self.step("before write")
        outcomes = self.writer.write_group(members)
        self.step("after commit")
        return outcomes

    def dry_run(self, plan: WritePlan) -> list[Outcome]:
        self.step("before write")
        outcomes = self.writer.dry_run(plan)
        self.step("after rollback")
        return outcomes

    def rehearse(self, plan: WritePlan) -> None:
        self.writer.rehearse(plan)

    def highest_version(self) -> int:
        return self.writer.highest_version()


@dataclass(frozen=True)
class SteppedUpsert:
    """An upsert that calls a step before and after each wave, and one for each of its keys."""

    upsert: ComparableUpsert
    step: Step

    def write(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Written:
        self.step("before upsert")
        for key in wave.keys:
            self.step(f"case {key}")
        answer = self.upsert.write(connection, wave, guard_care_plan)
        self.step("after upsert")
        return answer

    def stored(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, StoredCase]:
        return self.upsert.stored(connection, keys)

    def newer(self, connection: Connection, keys: Sequence[int], versions: Sequence[int]) -> Newer:
        return self.upsert.newer(connection, keys, versions)

    def backdate(self, connection: Connection, wave: Wave) -> None:
        self.upsert.backdate(connection, wave)

    def write_in_turn(self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Sequence[Turn]:
        self.step("before upsert")
        for key in wave.keys:
            self.step(f"case {key}")
        answer = self.upsert.write_in_turn(connection, wave, guard_care_plan)
        self.step("after upsert")
        return answer

    def compare_in_turn(
        self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool
    ) -> Sequence[Compared] | None:
        return self.upsert.compare_in_turn(connection, wave, guard_care_plan)

    def write_past(
        self,
        connection: Connection,
        wave: WaveOfRows,
        guard_care_plan: bool,
        known: Collection[Fault],
        compare: bool = False,
    ) -> Sequence[Compared | Fault] | None:
        self.step("before upsert")
        for key in wave.keys:
            self.step(f"case {key}")
        answer = self.upsert.write_past(connection, wave, guard_care_plan, known, compare)
        self.step("after upsert")
        return answer


@dataclass
class SteppedTargets:
    """The one target database of a test."""

    url: str
    step: Step = nothing
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = self.connect()

    def connect(self) -> Engine:
        engine = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": self.url})))

        def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
            if "INSERT INTO ingest_ledger" in statement:
                self.step("after ledger row")

        event.listen(engine, "after_cursor_execute", executed)
        event.listen(engine, "commit", lambda _: self.step("before commit"))
        return engine

    def writer(self, database: str) -> Any:
        upsert = SteppedUpsert(dialect_of(self.engine).writing.upsert, self.step)
        return SteppedWriter(Writer(self.engine, upsert), self.step)

    def own_writer(self, database: str) -> Any:
        engine = self.connect()
        return SteppedWriter(Writer(engine, SteppedUpsert(dialect_of(engine).writing.upsert, self.step)), self.step)

    def disconnect(self, database: str) -> None:
        self.engine.dispose()

    def prepare(self) -> None:
        """Make the schema anew, with an audit of every version that is written to a case."""
        upgrade(self.engine)
        with self.engine.begin() as connection:
            for table in ("care_case", "ingest_ledger"):
                connection.execute(text(f"DELETE FROM {table}"))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]


def an_applier(store: Any, targets: SteppedTargets, holder: str, is_dead: Callable[[str], bool]) -> Applier:
    """What a process works with that applies chunks."""
    return Applier(
        leases=store.leases,
        jobs=store.jobs,
        targets=targets,  # type: ignore[arg-type]
        random=SystemRandom(),
        sleep=lambda _: None,
        holder=holder,
        is_dead=is_dead,
        retry_deadline=RETRY_DEADLINE,
        isolates_for=timedelta(minutes=10),  # one attempt finds all poison items, however slow the machine is
    )


def attempt(
    store: Any, targets: SteppedTargets, ref: ChunkRef, holder: str, go_on: bool = False, **parts: Any
) -> Applied:
    """One attempt, in this process, by a holder that takes all others for dead, and may claim the next chunk.

    `parts` are of the applier, in place of the usual ones.
    """
    applier = replace(an_applier(store, targets, holder, lambda name: name != holder), **parts)
    claims = applier.claim(ref)
    members = members_of(claims)
    return run_group(applier, members, inf if go_on else NEVER) if members else Applied(claims[0][1].verdict.value)


def attempt_in_a_process(
    store: Any, targets: SteppedTargets, ref: ChunkRef, holder: str, meter: Meter | None = None
) -> int:
    """Make the attempt in a process of its own; return the status with which that ended, as waitpid does."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    status = 1
    try:
        targets.engine.dispose(close=False)
        attempt(store, targets, ref, holder, go_on=True, meter=meter or unmetered())
        status = 0
    finally:
        os._exit(status)
