"""One chunk into one target database: one transaction, with the ledger row that tells it was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from carecase_worker.cases.outcome import (
    CREATED,
    OTHER_CARE_PLAN,
    REFUSED,
    SUPERSEDED,
    UPDATED,
    Outcome,
    none_applied,
    pack_outcomes,
    unpack_outcomes,
)
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.failures import conflict, kind_of
from carecase_worker.targets.plan import Wave, WaveOfRows, WritePlan, case_by_case
from carecase_worker.targets.tables import INGEST_LEDGER
from carecase_worker.targets.upserts import Upsert, upsert_for
from carecase_worker.tenants import Tenant

_CONTENTION_ATTEMPTS = 4
_ITEM_FAULTS = (FailureKind.CONFLICT, FailureKind.REFUSED)


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """What the ledger knows a chunk by."""

    job_id: UUID
    chunk_no: int


class _LedgerTakenError(Exception):
    """Another attempt has written the ledger row, a moment or long ago."""


_OUTCOME = select(INGEST_LEDGER.c.outcome).where(
    INGEST_LEDGER.c.job_id == bindparam("the_job"), INGEST_LEDGER.c.chunk_no == bindparam("the_chunk")
)
_NOTE = insert(INGEST_LEDGER)
_CHECK_AT_ONCE = text("SET CONSTRAINTS ALL IMMEDIATE")


class Writer:
    """Writes chunks into one target database."""

    def __init__(self, engine: Engine, upsert: Upsert) -> None:
        self._engine = engine
        self._upsert = upsert

    def write(self, key: LedgerKey, plan: WritePlan) -> list[Outcome]:
        """The outcome of each item of the chunk, once it and the cases are committed.

        A chunk that has been written before is not written again: the outcomes are those of then. Raises TargetFailure
        if the database did not do its part; then either nothing is written or the ledger knows.
        """
        carefully = noted = False
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                return self._noted(key) if noted else self._write_once(key, plan, carefully)
            except _LedgerTakenError:
                noted = True
            except SQLAlchemyError as error:
                kind = kind_of(error)
                if kind in _ITEM_FAULTS and not carefully:
                    carefully = True
                elif kind is not FailureKind.CONTENTION:
                    raise TargetFailure(kind) from None
        raise TargetFailure(FailureKind.TOO_SLOW)

    def close(self) -> None:
        """Drop the connections."""
        self._engine.dispose()

    def rehearse(self, plan: WritePlan) -> None:
        """Do all that writing does, and keep nothing. Raises TargetFailure."""
        try:
            with self._engine.connect() as connection, connection.begin() as transaction:
                for wave in case_by_case(plan.waves):
                    self._apply_carefully(connection, wave, plan.guard_care_plan, list(plan.decided))
                transaction.rollback()
        except SQLAlchemyError as error:
            raise TargetFailure(kind_of(error)) from None

    def _write_once(self, key: LedgerKey, plan: WritePlan, carefully: bool) -> list[Outcome]:
        """Write the cases, then the ledger row: where there is one, all is taken back. Raises _LedgerTakenError."""
        with self._engine.connect() as connection, connection.begin():
            settled = self._apply_all(connection, plan, carefully)
            _note(connection, key, settled)
            return settled

    def _noted(self, key: LedgerKey) -> list[Outcome]:
        """The outcomes that the ledger has."""
        with self._engine.connect() as connection:
            row = connection.execute(_OUTCOME, {"the_job": key.job_id, "the_chunk": key.chunk_no})
            return unpack_outcomes(row.scalar_one())

    def _apply_all(self, connection: Connection, plan: WritePlan, carefully: bool) -> list[Outcome]:
        """Write the waves; the outcome of each item of the chunk."""
        if carefully and connection.dialect.name == "postgresql":
            connection.execute(_CHECK_AT_ONCE)
        whole = connection.begin_nested() if plan.all_or_nothing else None
        outcomes = list(plan.decided)
        apply = self._apply_carefully if carefully else self._apply
        for wave in case_by_case(plan.waves) if carefully else plan.waves:
            apply(connection, wave, plan.guard_care_plan, outcomes)
        settled = [outcome or REFUSED for outcome in outcomes]
        if whole is None:
            return settled
        if any(outcome.kind.failed for outcome in settled):
            whole.rollback()
            return none_applied(settled)
        whole.commit()
        return settled

    def _apply(self, connection: Connection, wave: Wave, guard_care_plan: bool, outcomes: list[Outcome | None]) -> None:
        """Write a wave and set its outcomes."""
        written = self._upsert.write(connection, wave, guard_care_plan)
        for keys, outcome in ((written.created, CREATED), (written.updated, UPDATED)):
            if len(keys) == len(wave.keys):
                for place in wave.places:
                    outcomes[place] = outcome
                return
        outcome_of = dict.fromkeys(written.created, CREATED) | dict.fromkeys(written.updated, UPDATED)
        for key, place in zip(wave.keys, wave.places, strict=True):
            outcomes[place] = outcome_of.get(key)
        self._pass_over(connection, wave, outcomes)

    def _pass_over(self, connection: Connection, wave: Wave, outcomes: list[Outcome | None]) -> None:
        """Set the outcomes of the cases that the upsert left out.

        The case holds a newer version: superseded. It may have been created by that one, though this one was accepted
        before it: then the entry date and user are this one's. Otherwise only the care plan's guard can have held it
        back.
        """
        cases = zip(wave.keys, wave.places, wave.versions, strict=True)
        passed_over = [case for case in cases if outcomes[case[1]] is None]
        held = self._upsert.versions(connection, [key for key, _, _ in passed_over])
        created_too_late = False
        for key, place, version in passed_over:
            versions = held.get(key)
            if versions is None:
                outcomes[place] = REFUSED  # a trigger of the database kept it out
            elif versions.version >= version:
                outcomes[place] = SUPERSEDED
                created_too_late = created_too_late or versions.entry_version > version
            else:
                outcomes[place] = OTHER_CARE_PLAN
        if created_too_late:
            self._upsert.backdate(connection, wave)

    def _apply_carefully(
        self, connection: Connection, wave: Wave, guard_care_plan: bool, outcomes: list[Outcome | None]
    ) -> None:
        """Write a wave although some of its items are refused: halve it until the culprits are alone."""
        try:
            with connection.begin_nested():
                self._apply(connection, wave, guard_care_plan, outcomes)
        except SQLAlchemyError as error:
            kind = kind_of(error)
            if kind not in _ITEM_FAULTS:
                raise
            entries = wave.entries()
            if len(entries) == 1:
                outcomes[entries[0].place] = conflict(error) if kind is FailureKind.CONFLICT else REFUSED
                return
            middle = len(entries) // 2
            for half in (entries[:middle], entries[middle:]):
                self._apply_carefully(connection, WaveOfRows(half, wave.defaults), guard_care_plan, outcomes)


class Targets:
    """The writers of one process, one for each target database."""

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self._tenants = tenants
        self._writers: dict[str, Writer] = {}

    def writer(self, database: str) -> Writer:
        """The writer of a database."""
        if database not in self._writers:
            self._writers[database] = self.own_writer(database)
        return self._writers[database]

    def own_writer(self, database: str) -> Writer:
        """A writer with a connection of its own, for a process that was forked."""
        engine = engine_for(self._tenants[database])
        return Writer(engine, upsert_for(engine.dialect.name))

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
