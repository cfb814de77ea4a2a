"""One chunk written to one target database: one transaction, with the ledger row that records it."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from carecase_worker.cases.outcomes import REFUSED, Outcome, none_applied, pack_outcomes, unpack_outcomes
from carecase_worker.clock import monotonic
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.failures import answered, classify, failure_of
from carecase_worker.targets.group import apart, as_one
from carecase_worker.targets.highest import highest_version
from carecase_worker.targets.limits import limit_statements
from carecase_worker.targets.plan import WritePlan, case_by_case
from carecase_worker.targets.sifting import Findings, Sifter, TransactionLostError
from carecase_worker.targets.sqlite_file import has_lost_transaction, is_replaced, limit_sqlite
from carecase_worker.targets.tables import INGEST_LEDGER
from carecase_worker.targets.upserts import Upsert
from carecase_worker.targets.waves import apply_wave
from carecase_worker.telemetry import logger

_log = logger("targets")
_CONTENTION_ATTEMPTS = 4
LONGEST = timedelta(minutes=1)
"""Default time limit of one attempt."""
_NOBODYS_FAULTS = (FailureKind.CONTENTION, FailureKind.TOO_SLOW)
_HURRY = 3 / 4
"""The part of an attempt's time below which the time that is left limits each further statement."""


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """The key of a chunk in the ledger."""

    job_id: UUID
    chunk_no: int


Members = Sequence[tuple[LedgerKey, WritePlan]]
"""The chunks of a group."""


class _AlreadyAppliedError(Exception):
    """Another attempt has already written the ledger row."""


class _StrictFailedError(Exception):
    """Items failed in strict chunks of a group, which are applied as a whole or not at all."""

    def __init__(self, keys: Collection[LedgerKey]) -> None:
        super().__init__()
        self.keys = keys


class _FileReplacedError(Exception):
    """The database's file was replaced, and the commit is not in the new one."""


_OUTCOME = select(INGEST_LEDGER.c.outcome).where(
    INGEST_LEDGER.c.job_id == bindparam("the_job"), INGEST_LEDGER.c.chunk_no == bindparam("the_chunk")
)
_NOTED_OF_JOBS = select(INGEST_LEDGER.c.job_id, INGEST_LEDGER.c.chunk_no).where(
    INGEST_LEDGER.c.job_id.in_(bindparam("the_jobs", expanding=True))
)
_INSERT_LEDGER = insert(INGEST_LEDGER)
_CHECK_AT_ONCE = text("SET CONSTRAINTS ALL IMMEDIATE")


@dataclass(frozen=True, slots=True)
class _Settled:
    """The outcome of each item, and how many items the database refused with which code."""

    outcomes: list[Outcome]
    refused: Counter[str]


class Writer:
    """A writer of chunks into one target database."""

    def __init__(self, engine: Engine, upsert: Upsert, database: str = "", longest: timedelta = LONGEST) -> None:
        """Write through an engine; `database` is its name in the log, `longest` how long one attempt may take."""
        self._engine = engine
        self._upsert = upsert
        self._database = database
        self._longest_s = longest.total_seconds()

    def write(self, key: LedgerKey, plan: WritePlan) -> list[Outcome]:
        """Write the chunk; return the outcome of each item, once it and the cases are committed.

        A chunk that was written before is not written again: its outcomes come from the ledger. Raises TargetFailure if
        the database fails; then either nothing is written or the ledger has the chunk.
        """
        findings = self._findings()
        isolate, noted = plan.slowly, False
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                return self._ledger_outcomes(key) if noted else self._write_once(key, plan, findings, isolate)
            except _AlreadyAppliedError:
                noted = True
            except _FileReplacedError:
                continue
            except SQLAlchemyError as error:
                isolate = self._may_be_an_items_fault(error, findings, isolate) or isolate
        raise TargetFailure(FailureKind.TOO_SLOW)

    def write_group(self, members: Members) -> list[list[Outcome] | None]:
        """Write several chunks at one stroke; return the outcomes of each, or None for one to be written by itself.

        That is a chunk that was written before, a strict one while items of the group fail, or any of a group that met
        contention too often. Raises TargetFailure; then either nothing is written or the ledger has the chunks.
        """
        findings, isolate, left, is_noted = self._findings(), False, members, False
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                if is_noted:
                    left, is_noted = self._not_noted(left), False
                written = self._write_together(left, findings, isolate)
                return [written.get(key) for key, _ in members]
            except _AlreadyAppliedError:
                is_noted = True
            except _StrictFailedError as failed:
                left = [member for member in left if member[0] not in failed.keys]
            except _FileReplacedError:
                continue
            except SQLAlchemyError as error:
                if self._may_be_an_items_fault(error, findings, isolate):
                    isolate, left = True, [member for member in left if not member[1].all_or_nothing]
            # the findings go by places, which change with the members
            findings = Findings(findings.until, findings.time_s)
        return [None] * len(members)

    @staticmethod
    def _may_be_an_items_fault(error: SQLAlchemyError, findings: Findings, isolate: bool) -> bool:
        """Return whether the next attempt should look for the refused items; False if it should just repeat.

        Raises TargetFailure if there should be no further attempt.
        """
        kind = classify(error)
        if answered(error) and kind not in _NOBODYS_FAULTS and not isolate:
            return True
        if kind is not FailureKind.CONTENTION or monotonic() > findings.until:
            raise failure_of(error) from None
        return False

    def highest_version(self) -> int:
        """Return the highest version of any case, or 0. Raises TargetFailure, also if that takes too long."""
        return highest_version(self._engine)

    def close(self) -> None:
        """Drop the connections."""
        self._engine.dispose()

    def rehearse(self, plan: WritePlan) -> None:
        """Do all that writing does, and keep nothing. Raises TargetFailure."""
        try:
            findings, done = self._findings(), False
            with self._engine.connect() as connection:
                while not done:
                    with suppress(TransactionLostError), connection.begin() as transaction:
                        self._sift(connection, plan, list(plan.decided), findings)
                        transaction.rollback()
                        done = True
        except SQLAlchemyError as error:
            raise failure_of(error) from None

    def _write_once(self, key: LedgerKey, plan: WritePlan, findings: Findings, isolate: bool) -> list[Outcome]:
        """Write the cases, then the ledger row; if there is one already, all is rolled back.

        Raises _LedgerTakenError, and _FileReplacedError if the commit went into a file that was replaced.
        """
        with self._engine.connect() as connection:
            settled = None
            while settled is None:
                with suppress(TransactionLostError), connection.begin():
                    settled = self._apply_all(connection, plan, findings, isolate)
                    if has_lost_transaction(connection):  # a ledger row now would tell of cases that are not there
                        raise TargetFailure(FailureKind.TOO_SLOW)
                    _record_in_ledger(connection, (key, settled.outcomes))
            if is_replaced(connection):
                raise _FileReplacedError
        if settled.refused:
            self._tell(key, settled.refused)
        return settled.outcomes

    def _write_together(self, members: Members, findings: Findings, isolate: bool) -> dict[LedgerKey, list[Outcome]]:
        """Write the cases of several chunks, then their ledger rows, in one transaction.

        Raises _LedgerTakenError, _StrictFailedError, _FileReplacedError.
        """
        if not members:
            return {}
        keys, plans = [key for key, _ in members], [plan for _, plan in members]
        merged = as_one(plans)
        with self._engine.connect() as connection:
            written: list[list[Outcome]] | None = None
            while written is None:
                with suppress(TransactionLostError), connection.begin():
                    settled = self._apply_all(connection, merged, findings, isolate)
                    if has_lost_transaction(connection):
                        raise TargetFailure(FailureKind.TOO_SLOW)
                    written = apart(settled.outcomes, plans)
                    _require_strict_whole(members, written)
                    _record_in_ledger(connection, *zip(keys, written, strict=True))
            if is_replaced(connection):
                raise _FileReplacedError
        if settled.refused:
            self._tell(None, settled.refused)
        return dict(zip(keys, written, strict=True))

    def _not_noted(self, members: Members) -> list[tuple[LedgerKey, WritePlan]]:
        """Return the chunks that are not in the ledger."""
        with self._engine.connect() as connection:
            jobs = list({key.job_id for key, _ in members})
            noted = {LedgerKey(*row) for row in connection.execute(_NOTED_OF_JOBS, {"the_jobs": jobs})}
        return [member for member in members if member[0] not in noted]

    def _tell(self, key: LedgerKey | None, refused: Counter[str]) -> None:
        """Log which codes the database gave for the items that it refused, of one chunk or of a group."""
        _log.warning(
            "items refused by the target database",
            database=self._database,
            **({"job_id": str(key.job_id), "chunk_no": key.chunk_no} if key else {}),
            count=refused.total(),
            reason=", ".join(f"{code or 'no code'}: {count}" for code, count in refused.most_common()),
        )

    def _ledger_outcomes(self, key: LedgerKey) -> list[Outcome]:
        """Read the outcomes of a chunk from the ledger."""
        with self._engine.connect() as connection:
            row = connection.execute(_OUTCOME, {"the_job": key.job_id, "the_chunk": key.chunk_no})
            return unpack_outcomes(row.scalar_one())

    def _apply_all(self, connection: Connection, plan: WritePlan, findings: Findings, isolate: bool) -> _Settled:
        """Write the waves; return the outcome of each item of the chunk, and the codes of the refused ones."""
        limit_sqlite(connection, self._longest_s)
        if isolate and connection.dialect.name == "postgresql":
            connection.execute(_CHECK_AT_ONCE)
        whole = connection.begin_nested() if plan.all_or_nothing else None
        outcomes = list(plan.decided)
        sifter = self._sift(connection, plan, outcomes, findings) if isolate else None
        if sifter is None:
            self._apply(connection, plan, outcomes, findings.until)
        settled = [outcome or REFUSED for outcome in outcomes]
        refused = sifter.refused if sifter else Counter()
        if whole is None:
            return _Settled(settled, refused)
        if any(outcome.kind.failed for outcome in settled):
            whole.rollback()
            return _Settled(none_applied(settled), refused)
        whole.commit()
        return _Settled(settled, refused)

    def _apply(self, connection: Connection, plan: WritePlan, outcomes: list[Outcome | None], until: float) -> None:
        """Write the waves, each as a whole."""
        for number, wave in enumerate(plan.waves):
            left_s = until - monotonic()
            if number and left_s < _HURRY * self._longest_s:
                limit_statements(connection, left_s)
            apply_wave(connection, self._upsert, wave, plan.guard_care_plan, outcomes)

    def _findings(self) -> Findings:
        return Findings(monotonic() + self._longest_s, self._longest_s)

    def _sift(
        self, connection: Connection, plan: WritePlan, outcomes: list[Outcome | None], findings: Findings
    ) -> Sifter:
        """Write the waves without the items that are refused."""
        sifter = Sifter(connection, self._upsert, plan, outcomes, findings)
        for wave in case_by_case(plan.waves):
            sifter.apply(wave)
        sifter.settle()
        return sifter


def _require_strict_whole(members: Members, written: Sequence[Sequence[Outcome]]) -> None:
    """Raise _StrictFailedError if a strict chunk was written in part."""
    failed = {
        key
        for (key, plan), outcomes in zip(members, written, strict=True)
        if plan.all_or_nothing and any(outcome.kind.failed for outcome in outcomes)
    }
    if failed:
        raise _StrictFailedError(failed)


def _record_in_ledger(connection: Connection, *written: tuple[LedgerKey, Sequence[Outcome]]) -> None:
    rows = [
        {"job_id": key.job_id, "chunk_no": key.chunk_no, "outcome": pack_outcomes(outcomes)}
        for key, outcomes in written
    ]
    try:
        connection.execute(_INSERT_LEDGER, rows)
    except IntegrityError:
        raise _AlreadyAppliedError from None
