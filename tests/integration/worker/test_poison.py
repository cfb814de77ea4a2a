"""A chunk whose item kills the process: after three deaths only that item gets 500, and all others are applied."""

import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from tests.builders import a_batch, a_case, a_new_job

from carecase_worker.cases.batch import split_array
from carecase_worker.cases.outcome import CREATED, REFUSED
from carecase_worker.cases.validation import Row
from carecase_worker.clock import SystemClock, SystemDice, system_sleep
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.jobs.chunks import ChunkBounds, cut, pack, unpack_done
from carecase_worker.jobs.job import State
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Claimed
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.tables import METADATA
from carecase_worker.targets.upserts import PortableUpsert
from carecase_worker.targets.writer import Writer
from carecase_worker.tenants import Tenant
from carecase_worker.worker.apply import Applier
from carecase_worker.worker.isolation import killers

POISON = frozenset({13, 77})


class PoisonedUpsert:
    """Dies of certain keys, as a driver's segmentation fault does."""

    def __call__(self, connection: Connection, rows: Sequence[Row], guard_care_plan: bool) -> Mapping[int, bool]:
        if any(row["case_Key"] in POISON for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        return PortableUpsert("sqlite")(connection, rows, guard_care_plan)


@dataclass(frozen=True)
class PoisonedTargets:
    url: str

    def writer(self, database: str) -> Writer:
        return Writer(self.engine(), PoisonedUpsert())

    own_writer = writer

    def let_go(self, database: str) -> None:
        pass

    def engine(self) -> Engine:
        return engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": self.url})))


def test_only_the_killers_are_refused(store: JobStore, tmp_path: Path) -> None:
    targets = PoisonedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    METADATA.create_all(targets.engine())
    cases = [a_case(key) for key in range(100)]
    (chunk,) = cut(split_array(a_batch(*cases)), ChunkBounds(1000, 1 << 20, 1 << 18))
    new = a_new_job(total=100)
    (ref,) = store.admit(new, {0: pack(chunk)}, SystemClock().now()).rings

    def attempt(holder: str) -> int:
        """An attempt in a process of its own; how that ended."""
        pid = os.fork()
        if pid:
            return os.waitpid(pid, 0)[1]
        status = 1
        try:
            applier = Applier(
                store=store,
                targets=targets,
                clock=SystemClock(),
                dice=SystemDice(),
                sleep=system_sleep,
                holder=holder,
                is_dead=lambda name: name != holder,
                retry_deadline=timedelta(days=1),
            )
            claim = applier.claim(ref)
            if claim.verdict is Claimed.APPLY and claim.lease is not None:
                applier.carry_out(claim.lease, cancel=False)
                status = 0
        finally:
            os._exit(status)

    ends = [attempt(f"holder {n}") for n in range(4)]
    assert ends == [signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, 0]
    job = store.job(new.job_id)
    assert job.state is State.COMPLETED
    assert (job.counts["created"], job.counts["failed"]) == (98, 2)
    (packed,) = store.outcomes(new.job_id, [0])
    assert packed is not None
    told = unpack_done(packed).outcomes
    assert told == [REFUSED if key in POISON else CREATED for key in range(100)]
    with targets.engine().connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM care_case")).scalar() == 98


def _dies_of(poison: Collection[int]) -> Callable[[Collection[int]], None]:
    def rehearse(places: Collection[int]) -> None:
        if set(places) & set(poison):
            os.kill(os.getpid(), signal.SIGKILL)

    return rehearse


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=4))))
def test_exactly_the_killers_are_found(count_and_poison: tuple[int, set[int]]) -> None:
    count, poison = count_and_poison
    assert killers(count, _dies_of(poison)) == poison


def test_a_database_that_is_away_makes_nobody_a_killer() -> None:
    def away(_: Collection[int]) -> None:
        raise TargetFailure(FailureKind.AWAY)

    with pytest.raises(TargetFailure):
        killers(10, away)
