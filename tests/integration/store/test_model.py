"""The operations of the job store, in any order and with time moving, beside a model of what they should do."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from random import Random
from typing import TypeVar

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.clocked import Clocked
from tests.integration.store.states import COUNTS, Batch, Job

from carecase_worker.store.job import MOVES, Operation, State

TIMES_MS = (0.001, 0.5, 999, 1000, 2000, 5000, 5001, 14_999, 15_000, 60_000, 150_000, 900_000, 3_600_000, 7_200_000)
BACK_MS = (-1, -30_000, -600_000)
T = TypeVar("T")


class Walk:
    """A way through the states of the store, the same for the same seed."""

    def __init__(self, beside: Beside, seed: int) -> None:
        self._beside = beside
        self._dice = Random(seed)
        self._sent = 0
        self._uploads: list[Batch] = []

    def one_step(self) -> None:
        steps: dict[Callable[[], object], int] = {
            self._admit: 5, self._admit_again: 1, self._claim: 8, self._complete: 6, self._release: 4, self._cancel: 1,
            self._sweep: 3, self._reclaim: 2, self._settle: 1, self._time_goes_on: 5, self._other_settings: 1,
            self._purge: 1, self._list: 1, self._place: 3,
        }  # fmt: skip
        self._dice.choices(list(steps), list(steps.values()))[0]()

    def _one_of(self, *some: T) -> T:
        return self._dice.choice(some)

    @property
    def _jobs(self) -> dict[str, Job]:
        return self._beside.model.jobs

    def _chunk(self) -> tuple[str, int]:
        """A chunk, more often one that is open; of a job that never was, if there is none."""
        every = [(name, n) for name, job in self._jobs.items() for n in range(len(job.chunks))]
        due = [ref for ref in every if self._jobs[ref[0]].chunks[ref[1]].due_ms is not None]
        return self._dice.choice(due * 9 + every + [("never", 0)])

    def _admit(self) -> None:
        batch = Batch(
            f"j-{self._sent}",
            tuple(self._one_of(1, 2) for _ in range(self._one_of(1, 1, 2, 3, 4))),
            database=self._one_of("demo", "demo", "other"),
            client=self._one_of("ann", "bob"),
            care_plan=self._one_of("", "5", "-6"),
            payload_bytes=self._one_of(10, 20, 50),
            fingerprint=self._one_of("f", "g"),
            idempotency=self._one_of(None, None, "idem:k1", "idem:k2"),
            strict=self._one_of("0", "1"),
            data_key=self._one_of("", "a wrapped key"),
            keys=self._one_of("", "keys"),
            traceparent=self._one_of("", "a traceparent"),
            also_known=self._one_of((), (("idem:k2", "f"),), (("idem:k0", "h"), ("idem:k1", "g"))),
        )
        if len(batch.sizes) == 1:
            batch = replace(batch, weight=self._one_of("", "1", "2", "5"))
        if self._one_of(True, False, False, False):
            batch = replace(batch, dry_run=True, weight="", keys="")
        final = [name for name, job in self._jobs.items() if job.final and self._same_place(job.batch, batch)]
        batch = replace(batch, retry_of=self._one_of("", "never", *final))
        self._sent += 1
        numbers = range(len(batch.sizes))[self._one_of(0, 0, 0, 1) :]
        staged = self._one_of(0, 1, len(numbers))
        for number in numbers[:staged]:
            self._beside.stage(batch, number)
        if self._one_of(True, True, True, False):
            self._beside.admit(batch, *numbers[staged:])
        else:
            self._uploads.append(batch)

    @staticmethod
    def _same_place(one: Batch, other: Batch) -> bool:
        return (one.client, one.database) == (other.client, other.database)

    def _admit_again(self) -> None:
        for batch in self._some([*self._uploads, *(job.batch for job in self._jobs.values())]):
            self._beside.stage(batch, *range(len(batch.sizes)))
            self._beside.admit(batch) if self._one_of(True, False) else self._beside.discard(batch)

    def _purge(self) -> None:
        self._beside.purge(self._one_of(*self._jobs, "never"))

    def _list(self) -> None:
        self._beside.listing(
            *self._one_of(("demo",), ("demo", "other"), ("nowhere", "other", "demo")),
            client=self._one_of("ann", "bob"),
            first=self._one_of(0, 1, 2, 5),
            count=self._one_of(1, 3, 50),
            state=self._one_of("", "", "queued", "completed"),
            among=self._one_of(1, 4, 50),
        )

    def _some(self, those: Sequence[T]) -> list[T]:
        return self._dice.sample(those, min(1, len(those)))

    def _place(self) -> None:
        """Place some of what is to be placed, behind any that came before."""
        name = self._one_of("demo", "demo", "other")
        if name not in self._beside.model.databases:
            return
        told = []
        for job in self._some(self._beside.model.databases[name].unplaced) + self._one_of([], ["never"]):
            seq = self._jobs[job].seq if job in self._jobs else 0
            before = [
                one
                for one, held in self._jobs.items()
                if held.batch.database == name and held.seq < seq and not held.batch.dry_run
            ]
            told.append((job, self._one_of("", *before), self._dice.sample(before, self._one_of(0, len(before)))))
        self._beside.place(*told, database=name, holder=self._one_of("", *"abcd"), room=self._one_of(3, 10))

    def _claim(self) -> None:
        self._beside.claim_group(*self._chunk(), self._one_of(*"abcd"), self._one_of(0, 3, 10, 10))

    def _complete(self) -> None:
        name, n = self._chunk()
        job, counts = self._jobs.get(name), dict.fromkeys(COUNTS, 0)
        for _ in range(job.chunks[n].size if job else 1):
            counts["cancelled" if job and job.state == "cancelling" else self._one_of(*COUNTS)] += 1
        keep, answered = self._one_of(True, False), self._one_of(True, False)
        packed = self._one_of("packed", "other")
        chunks = [(name, n)]
        if job and job.batch.weight:
            alike = [
                (other, 0)
                for other, one in self._jobs.items()
                if one.batch.weight and (one.batch.database, one.batch.sizes) == (job.batch.database, job.batch.sizes)
            ]
            chunks = list(dict.fromkeys([*chunks, *self._dice.sample(alike, self._one_of(0, len(alike)))]))
        holder, room = self._one_of("", *"abcd"), self._one_of(3, 10)
        self._beside.complete_group(chunks, holder, room, counts=counts, keep=keep, answered=answered, packed=packed)

    def _release(self) -> None:
        for member, holder in self._some(sorted(self._beside.model.holding.items())):
            job, _, n = member.partition(":")
            also_held = [other for other, by in self._beside.model.holding.items() if by == holder and other != member]
            others = [(other.partition(":")[0], int(other.partition(":")[2])) for other in also_held]
            self._beside.release_group(
                [(job, int(n)), *self._dice.sample(others, self._one_of(0, len(others)))],
                self._one_of(holder, holder, holder, holder, "stranger"),
                after_ms=self._one_of(0, 500, 4000),
                open_circuit_ms=self._one_of(0, 0, 1000, 60_000),
                unexplained=self._one_of(True, False),
                to_blame=self._one_of(True, False),
                too_slow=self._one_of(True, False),
                isolation=self._one_of("", "", "so far"),
                reason=self._one_of("away", "too-slow"),
            )

    def _cancel(self) -> None:
        self._beside.cancel(self._one_of(*self._jobs, "never"))

    def _sweep(self) -> None:
        self._beside.overdue(self._one_of("demo", "demo", "other"), self._one_of(0, 0, 1, 3), self._one_of(500, 2))

    def _reclaim(self) -> None:
        self._beside.reclaim(self._one_of(*"abcd"))

    def _settle(self) -> None:
        above_ms = self._one_of(-100_000, -1, 0, 1, 100_000)
        self._beside.settle(self._one_of(0, self._beside.model.now_ms + above_ms), self._one_of("demo", "other"))

    def _time_goes_on(self) -> None:
        self._beside.elapse(self._one_of(*TIMES_MS[:-2], *TIMES_MS, *BACK_MS))

    def _other_settings(self) -> None:
        width, lease_ms = self._one_of(1, 2, 3), self._one_of(15_000, 3_000)
        self._beside.limits = replace(self._beside.limits, width=width, lease_ms=lease_ms)


@pytest.mark.parametrize("seed", range(5))
def test_the_operations_in_any_order_do_what_the_model_says(scripts: Clocked, seed: int) -> None:
    for part in range(6):
        beside = Beside(scripts)
        few = {
            "max_jobs": 20,
            "max_bytes": 900,
            "client_jobs": 4,
            "client_bytes": 15_000,
            "database_jobs": 6,
            "database_bytes": 25_000,
        }
        beside.limits = replace(beside.limits, **(few if part % 2 else {}))
        walk = Walk(beside, seed * 6 + part)
        for _ in range(60):
            walk.one_step()
        beside.check()


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("before", [state for state in State if not state.final])
def test_the_table_has_the_moves_that_the_model_makes_and_no_other(
    scripts: Clocked, operation: Operation, before: State
) -> None:
    """From each state, on the last chunk and on one before it, of items cancelled and not, of a database left alone."""
    after = set()
    for sizes, count, open_circuit_ms in product([(1,), (1, 1)], ["created", "cancelled"], [0, 1_000]):
        beside = Beside(scripts)
        beside.admitted("b")
        beside.claim("b", 0, "v")
        beside.admitted("a", sizes)
        if before is not State.QUEUED:
            beside.claim("a", 0, "w")
        if before is State.WAITING:
            beside.release("a", 0, "w", open_circuit_ms=0)
            arguments: dict[str, str | int] = {
                "holder": "w",
                "until": beside.model.now_ms + 1,
            }  # as if of another chunk
            beside.model.jobs["a"].chunks[0].lease |= arguments
            beside.spoil(("HSET", "lease:a", "0:holder", "w", "0:until", arguments["until"]))
        if before is State.CANCELLING:
            beside.cancel("a")
        if open_circuit_ms and operation is Operation.CLAIM:
            beside.release("b", 0, "v", open_circuit_ms=open_circuit_ms)
        assert beside.model.jobs["a"].state == before.value
        match operation:
            case Operation.CLAIM:
                beside.claim("a", 0, "w")
            case Operation.COMPLETE:
                beside.complete("a", 0, counts={count: 1})
            case Operation.RELEASE:
                beside.release("a", 0, "w")
            case Operation.CANCEL:
                beside.cancel("a")
        beside.check()
        after.add(State(beside.model.jobs["a"].state))
    assert after == MOVES.get((before, operation), {before})


def test_nothing_is_in_the_table_for_a_final_state() -> None:
    assert not [before for before, _ in MOVES if before.final]
