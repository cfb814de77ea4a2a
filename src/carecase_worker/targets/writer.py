"""One chunk into one target database: one transaction, with the ledger row that tells it was done."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from carecase_worker.cases.outcome import REFUSED, Outcome, none_applied, pack_outcomes, unpack_outcomes
from carecase_worker.clock import stopwatch
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.failures import answered, failure_of, kind_of
from carecase_worker.targets.highest import highest_version
from carecase_worker.targets.plan import WritePlan, case_by_case
from carecase_worker.targets.schema import require_fitting
from carecase_worker.targets.sifting import Findings, Sifter, TransactionLostError, limit_statements
from carecase_worker.targets.sqlite_file import has_lost_transaction, is_replaced, limit_sqlite
from carecase_worker.targets.tables import INGEST_LEDGER
from carecase_worker.targets.upserts import Upsert, upsert_for
from carecase_worker.targets.waves import apply_wave
from carecase_worker.telemetry import logger
from carecase_worker.tenants import Tenant

_log = logger("targets")
_CONTENTION_ATTEMPTS = 4
_LONGEST = timedelta(minutes=1)
_NOBODYS_FAULTS = (FailureKind.CONTENTION, FailureKind.TOO_SLOW)
_HURRY = 3 / 4
"""The part of an attempt's time below which what is left of it bounds each further statement."""


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """What the ledger knows a chunk by."""

    job_id: UUID
    chunk_no: int


class _LedgerTakenError(Exception):
    """Another attempt has written the ledger row, a moment or long ago."""


class _FileReplacedError(Exception):
    """The file of the database is another one by now, and what was committed is not in it."""


_OUTCOME = select(INGEST_LEDGER.c.outcome).where(
    INGEST_LEDGER.c.job_id == bindparam("the_job"), INGEST_LEDGER.c.chunk_no == bindparam("the_chunk")
)
_NOTE = insert(INGEST_LEDGER)
_CHECK_AT_ONCE = text("SET CONSTRAINTS ALL IMMEDIATE")


@dataclass(frozen=True, slots=True)
class _Settled:
    """The outcome of each item, and how often the database refused one with which code."""

    outcomes: list[Outcome]
    refused: Counter[str]


class Writer:
    """Writes chunks into one target database."""

    def __init__(self, engine: Engine, upsert: Upsert, database: str = "", longest: timedelta = _LONGEST) -> None:
        """Write through an engine; `database` is its name in the log, `longest` how long one attempt may take."""
        self._engine = engine
        self._upsert = upsert
        self._database = database
        self._longest_s = longest.total_seconds()

    def write(self, key: LedgerKey, plan: WritePlan) -> list[Outcome]:
        """The outcome of each item of the chunk, once it and the cases are committed.

        A chunk that has been written before is not written again: the outcomes are those of then. Raises TargetFailure
        if the database did not do its part; then either nothing is written or the ledger knows.
        """
        findings = self._findings()
        carefully, noted = plan.slowly, False
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                return self._noted(key) if noted else self._write_once(key, plan, findings, carefully)
            except _LedgerTakenError:
                noted = True
            except _FileReplacedError:
                continue
            except SQLAlchemyError as error:
                kind = kind_of(error)
                if answered(error) and kind not in _NOBODYS_FAULTS and not carefully:
                    carefully = True
                elif kind is not FailureKind.CONTENTION or stopwatch() > findings.until:
                    raise failure_of(error) from None
        raise TargetFailure(FailureKind.TOO_SLOW)

    def highest_version(self) -> int:
        """The highest version of any case, 0 if there is none. Raises TargetFailure, too, if that is slow to find."""
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

    def _write_once(self, key: LedgerKey, plan: WritePlan, findings: Findings, carefully: bool) -> list[Outcome]:
        """Write the cases, then the ledger row: where there is one, all is taken back.

        Raises _LedgerTakenError, and _FileReplacedError if it has all gone into a file that is there no more.
        """
        with self._engine.connect() as connection:
            settled = None
            while settled is None:
                with suppress(TransactionLostError), connection.begin():
                    settled = self._apply_all(connection, plan, findings, carefully)
                    if has_lost_transaction(connection):  # a ledger row now would tell of cases that are not there
                        raise TargetFailure(FailureKind.TOO_SLOW)
                    _note(connection, key, settled.outcomes)
            if is_replaced(connection):
                raise _FileReplacedError
        if settled.refused:
            self._tell(key, settled.refused)
        return settled.outcomes

    def _tell(self, key: LedgerKey, refused: Counter[str]) -> None:
        """Log which codes the database gave for the items that it refused."""
        _log.warning(
            "items refused by the target database",
            database=self._database,
            job_id=str(key.job_id),
            chunk_no=key.chunk_no,
            count=refused.total(),
            reason=", ".join(f"{code or 'no code'}: {count}" for code, count in refused.most_common()),
        )

    def _noted(self, key: LedgerKey) -> list[Outcome]:
        """The outcomes that the ledger has."""
        with self._engine.connect() as connection:
            row = connection.execute(_OUTCOME, {"the_job": key.job_id, "the_chunk": key.chunk_no})
            return unpack_outcomes(row.scalar_one())

    def _apply_all(self, connection: Connection, plan: WritePlan, findings: Findings, carefully: bool) -> _Settled:
        """Write the waves; the outcome of each item of the chunk, and what was refused."""
        limit_sqlite(connection, self._longest_s)
        if carefully and connection.dialect.name == "postgresql":
            connection.execute(_CHECK_AT_ONCE)
        whole = connection.begin_nested() if plan.all_or_nothing else None
        outcomes = list(plan.decided)
        sifter = self._sift(connection, plan, outcomes, findings) if carefully else None
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
            left_s = until - stopwatch()
            if number and left_s < _HURRY * self._longest_s:
                limit_statements(connection, left_s)
            apply_wave(connection, self._upsert, wave, plan.guard_care_plan, outcomes)

    def _findings(self) -> Findings:
        return Findings(stopwatch() + self._longest_s, self._longest_s)

    def _sift(
        self, connection: Connection, plan: WritePlan, outcomes: list[Outcome | None], findings: Findings
    ) -> Sifter:
        """Write the waves but for the items that are refused."""
        sifter = Sifter(connection, self._upsert, plan, outcomes, findings)
        for wave in case_by_case(plan.waves):
            sifter.apply(wave)
        sifter.settle()
        return sifter


class Targets:
    """The writers of one process, one for each target database."""

    def __init__(self, tenants: Mapping[str, Tenant], longest: timedelta = _LONGEST) -> None:
        """Serve tenants; no attempt at a chunk keeps a database busy for more than `longest`, whatever its settings."""
        self._tenants = tenants
        self._longest = longest
        self._writers: dict[str, Writer] = {}

    def writer(self, database: str) -> Writer:
        """The writer of a database. Raises TargetFailure."""
        if database not in self._writers:
            self._writers[database] = self.own_writer(database)
        return self._writers[database]

    def own_writer(self, database: str) -> Writer:
        """A writer with a connection of its own, for a process that was forked. Raises TargetFailure."""
        settings = self._tenants[database].database
        longest = min(settings.statement_timeout, self._longest)
        engine = engine_for(Tenant(database, settings.model_copy(update={"statement_timeout": longest})))
        try:
            require_fitting(engine)
        except TargetFailure:
            engine.dispose()
            raise
        return Writer(engine, upsert_for(engine.dialect.name), database, longest)

    def let_go(self, database: str) -> None:
        """Drop the connections to a database, in whatever state they are."""
        writer = self._writers.pop(database, None)
        if writer is not None:
            writer.close()


def _note(connection: Connection, key: LedgerKey, outcomes: Sequence[Outcome]) -> None:
    row = {"job_id": key.job_id, "chunk_no": key.chunk_no, "outcome": pack_outcomes(outcomes)}
    try:
        connection.execute(_NOTE, row)
    except IntegrityError:
        raise _LedgerTakenError from None
