"""Chunks written to one target database: one transaction for a chunk or a group, with its rows in the ledger."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from typing import TypeVar, assert_never

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.cases.outcomes import REFUSED, Outcome
from carecase_worker.clock import monotonic
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.dialects.upsert import ComparableUpsert
from carecase_worker.targets.failures import errors_as_failures
from carecase_worker.targets.highest import highest_version
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.writing.applying import Apply, apply_bisecting, apply_fast, sift
from carecase_worker.targets.writing.comparing import ComparingUpsert
from carecase_worker.targets.writing.findings import Findings, TransactionLostError
from carecase_worker.targets.writing.ledger import (
    AlreadyAppliedError,
    LedgerKey,
    Rows,
    record,
    recorded,
    recorded_outcomes,
)
from carecase_worker.targets.writing.merging import apart, as_one
from carecase_worker.telemetry import logger

_T = TypeVar("_T")
_log = logger("targets")
_CONTENTION_ATTEMPTS = 4
_FIRST_DRY_RUN_S = 2.0
"""Time limit in seconds of the first attempt at a chunk of a dry run, which bounds how long its locks delay writers.

Only if the database is slower than that, later attempts get the time of a real one.
"""
LONGEST = timedelta(minutes=1)
"""Default time limit of one attempt."""
_NOBODYS_FAULTS = (FailureKind.CONTENTION, FailureKind.TOO_SLOW)

Members = Sequence[tuple[LedgerKey, WritePlan]]
"""The chunks of a group."""


class _Step(Enum):
    """The steps of an attempt; each is taken only if the previous one could not complete it."""

    FAST = auto()
    BISECTING = auto()
    LEDGER = auto()


class _StrictFailedError(Exception):
    """Items failed in strict chunks of a group, which are all or nothing."""

    def __init__(self, keys: Collection[LedgerKey]) -> None:
        super().__init__()
        self.keys = keys


class _ReplacedError(Exception):
    """The database was replaced, and the commit is not in the new one."""


class Writer:
    """A writer of chunks into one target database."""

    def __init__(
        self, engine: Engine, upsert: ComparableUpsert, database: str = "", longest: timedelta = LONGEST
    ) -> None:
        """Write through an engine; `database` is its name in the log, `longest` how long one attempt may take."""
        self._engine = engine
        self._dialect = dialect_of(engine)
        self._upsert = upsert
        self._database = database
        self._longest_s = longest.total_seconds()

    def write(self, key: LedgerKey, plan: WritePlan) -> list[Outcome]:
        """Write the chunk; return the outcome of each item, once it and the cases are committed.

        The cases are first written fast. If one of them may have caused an error, they are written by bisecting, with
        which every second attempt also starts. A chunk in the ledger is not written again: its outcomes come from
        there. Raises TargetFailure if the database fails; then either nothing is written or the ledger has the chunk.
        """
        findings = self._findings()
        step = _Step.BISECTING if plan.slowly else _Step.FAST
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                match step:
                    case _Step.FAST:
                        return self._write_fast(key, plan, findings)
                    case _Step.BISECTING:
                        return self._write_bisecting(key, plan, findings)
                    case _Step.LEDGER:
                        return self._read_ledger(key)
                    case never:
                        assert_never(never)
            except AlreadyAppliedError:
                step = _Step.LEDGER
            except _ReplacedError:
                continue
            except SQLAlchemyError as error:
                step = self._step_after(error, step, findings)
        raise TargetFailure(FailureKind.TOO_SLOW)

    def write_group(self, members: Members) -> list[list[Outcome] | None]:
        """Write several chunks in one transaction; return the outcomes of each, or None for one to write separately.

        That is a chunk that was written before, a strict one while items of the group fail, or any of a group with too
        much contention. Raises TargetFailure; then either nothing is written or the ledger has the chunks.
        """
        findings, step, left, is_recorded = self._findings(), _Step.FAST, members, False
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                if is_recorded:
                    left, is_recorded = self._not_recorded(left), False
                written = self._write_together(left, findings, apply_fast if step is _Step.FAST else apply_bisecting)
                return [written.get(key) for key, _ in members]
            except AlreadyAppliedError:
                is_recorded = True
            except _StrictFailedError as failed:
                left = [member for member in left if member[0] not in failed.keys]
            except _ReplacedError:
                continue
            except SQLAlchemyError as error:
                before, step = step, self._step_after(error, step, findings)
                if step is not before:
                    left = [member for member in left if not member[1].all_or_nothing]
            # the findings go by places, which change with the members
            findings = Findings(findings.until, findings.time_s)
        return [None] * len(members)

    def highest_version(self) -> int:
        """Return the highest version of any case, or 0. Raises TargetFailure, also if that takes too long."""
        return highest_version(self._engine)

    def close(self) -> None:
        """Drop the connections."""
        self._engine.dispose()

    def dry_run(self, plan: WritePlan) -> list[Outcome]:
        """Write the chunk and roll back; return the outcome that each item would have.

        Nothing is recorded in the ledger: a second attempt starts again. Raises TargetFailure if the database fails.
        """
        if not plan.waves:
            return [outcome or REFUSED for outcome in plan.decided]
        time_s = self._longest_s if plan.attempts else min(_FIRST_DRY_RUN_S, self._longest_s)
        findings, step = Findings(monotonic() + time_s, time_s), _Step.BISECTING if plan.slowly else _Step.FAST
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                apply = apply_fast if step is _Step.FAST else apply_bisecting
                return self._rolled_back(partial(self._compared, plan=plan, findings=findings, apply=apply))
            except SQLAlchemyError as error:
                step = self._step_after(error, step, findings)
        raise TargetFailure(FailureKind.TOO_SLOW)

    def rehearse(self, plan: WritePlan) -> None:
        """Write the plan and roll back. Raises TargetFailure."""
        findings = self._findings()
        with errors_as_failures(self._engine):
            self._rolled_back(lambda connection: sift(connection, self._upsert, plan, findings))

    def _write_fast(self, key: LedgerKey, plan: WritePlan, findings: Findings) -> list[Outcome]:
        """Write the cases, each wave as a whole, and the ledger row. Raises SQLAlchemyError and as `_commit` does."""
        return self._write_one(key, plan, findings, apply_fast)

    def _write_bisecting(self, key: LedgerKey, plan: WritePlan, findings: Findings) -> list[Outcome]:
        """Write the cases without those that the database refuses, and the ledger row. Raises as `_write_fast` does."""
        return self._write_one(key, plan, findings, apply_bisecting)

    def _read_ledger(self, key: LedgerKey) -> list[Outcome]:
        """Return the outcomes of a chunk that another attempt has written."""
        with self._engine.connect() as connection:
            return recorded_outcomes(connection, key)

    def _step_after(self, error: SQLAlchemyError, step: _Step, findings: Findings) -> _Step:
        """Return the step of the next attempt: bisecting if a case may be at fault, the same again after contention.

        Raises TargetFailure if there should be no further attempt.
        """
        errors = self._dialect.errors
        kind = errors.classify(error)
        if step is _Step.FAST and errors.answered(error) and kind not in _NOBODYS_FAULTS:
            return _Step.BISECTING
        if kind is not FailureKind.CONTENTION or monotonic() > findings.until:
            raise errors.failure_of(error) from None
        return step

    def _write_one(self, key: LedgerKey, plan: WritePlan, findings: Findings, apply: Apply) -> list[Outcome]:
        """Write the cases of a chunk, and its ledger row."""

        def row(outcomes: list[Outcome]) -> Rows:
            return [(key, outcomes)]

        ((_, outcomes),) = self._commit(plan, findings, apply, row)
        return list(outcomes)

    def _write_together(self, members: Members, findings: Findings, apply: Apply) -> dict[LedgerKey, list[Outcome]]:
        """Write the cases of several chunks, and their ledger rows. Raises _StrictFailedError, or as `_commit`."""
        if not members:
            return {}
        plans = [plan for _, plan in members]

        def rows(outcomes: list[Outcome]) -> Rows:
            written = apart(outcomes, plans)
            _require_strict_whole(members, written)
            return [(key, one) for (key, _), one in zip(members, written, strict=True)]

        return {key: list(outcomes) for key, outcomes in self._commit(as_one(plans), findings, apply, rows)}

    def _commit(
        self, plan: WritePlan, findings: Findings, apply: Apply, rows_of: Callable[[list[Outcome]], Rows]
    ) -> Rows:
        """Write the cases of a plan, then its rows in the ledger, in one transaction; return the rows.

        Raises AlreadyAppliedError if one of the rows exists; then everything is rolled back. Raises _ReplacedError if
        the commit went to a database that was replaced.
        """
        writing, rows = self._dialect.writing, None
        with self._engine.connect() as connection:
            while rows is None:
                with suppress(TransactionLostError), connection.begin():
                    settled = apply(connection, self._upsert, plan, findings)
                    if writing.has_lost_transaction(connection):  # a ledger row now would tell of cases not there
                        raise TargetFailure(FailureKind.TOO_SLOW)
                    rows = rows_of(settled.outcomes)
                    record(connection, rows)
            if writing.is_replaced(connection):
                raise _ReplacedError
        if settled.refused:
            self._log_refused(rows, settled.refused)
        return rows

    def _compared(self, connection: Connection, plan: WritePlan, findings: Findings, apply: Apply) -> list[Outcome]:
        """Write the cases of a plan and check the constraints as a commit would; return the outcomes."""
        writing, upsert = self._dialect.writing, ComparingUpsert(self._upsert)
        writing.limit_statements(connection, findings.time_s)
        settled = apply(connection, upsert, plan, findings)
        writing.check_constraints_at_once(connection)
        if writing.has_lost_transaction(connection):
            raise TargetFailure(FailureKind.TOO_SLOW)
        return upsert.dry_outcomes(plan, settled.outcomes)

    def _rolled_back(self, write: Callable[[Connection], _T]) -> _T:
        """Write in a transaction that never commits; start again if the database has ended it."""
        with self._engine.connect() as connection:
            while True:
                transaction = connection.begin()
                with suppress(TransactionLostError):
                    try:
                        return write(connection)
                    finally:
                        transaction.rollback()

    def _not_recorded(self, members: Members) -> Members:
        """Return the chunks that are not in the ledger."""
        with self._engine.connect() as connection:
            known = recorded(connection, [key for key, _ in members])
        return [member for member in members if member[0] not in known]

    def _log_refused(self, rows: Rows, refused: Counter[str]) -> None:
        """Log the database's error codes of refused items, of one chunk or a group."""
        key = rows[0][0] if len(rows) == 1 else None
        _log.warning(
            "items refused by the target database",
            database=self._database,
            **({"job_id": str(key.job_id), "chunk_no": key.chunk_no} if key else {}),
            count=refused.total(),
            reason=", ".join(f"{code or 'no code'}: {count}" for code, count in refused.most_common()),
        )

    def _findings(self) -> Findings:
        return Findings(monotonic() + self._longest_s, self._longest_s)


def _require_strict_whole(members: Members, written: Sequence[Sequence[Outcome]]) -> None:
    """Raise _StrictFailedError if a strict chunk was written in part."""
    failed = {
        key
        for (key, plan), outcomes in zip(members, written, strict=True)
        if plan.all_or_nothing and any(outcome.kind.failed for outcome in outcomes)
    }
    if failed:
        raise _StrictFailedError(failed)
