"""One chunk into one target database: one transaction, with the ledger row that tells it was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from carecase_worker.cases.care_case import ENTRY_DATE, ENTRY_USER, KEY
from carecase_worker.cases.outcome import (
    CREATED,
    OTHER_CARE_PLAN,
    REFUSED,
    SUPERSEDED,
    UPDATED,
    Outcome,
    pack_outcomes,
    unpack_outcomes,
)
from carecase_worker.cases.validation import Row
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.failures import conflict, kind_of
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, INGEST_LEDGER, VERSION
from carecase_worker.targets.upserts import Upsert, upsert_for
from carecase_worker.tenants import Tenant

_CONTENTION_ATTEMPTS = 4
_ITEM_FAULTS = (FailureKind.CONFLICT, FailureKind.REFUSED)


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """What the ledger knows a chunk by."""

    job_id: UUID
    chunk_no: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One valid case to be written, and its place in the chunk. The row holds its versions, too."""

    place: int
    row: Row


@dataclass(frozen=True, slots=True)
class WritePlan:
    """What to write of a chunk.

    `decided` has an outcome for each item that needs no database, None for the others; these are spread over `waves`.
    A wave has each key once, in key order; the waves are written one after the other.
    """

    decided: Sequence[Outcome | None]
    waves: Sequence[Sequence[Entry]]
    guard_care_plan: bool


class _LedgerTakenError(Exception):
    """Another attempt has written the ledger row meanwhile."""


_HELD = select(CARE_CASE.c[KEY], CARE_CASE.c[VERSION])
_OUTCOME = select(INGEST_LEDGER.c.outcome)
_CHECK_AT_ONCE = text("SET CONSTRAINTS ALL IMMEDIATE")
_BACKDATE = (
    update(CARE_CASE)
    .where(CARE_CASE.c[KEY] == bindparam("the_key"), CARE_CASE.c[ENTRY_VERSION] > bindparam("the_version"))
    .values(
        {
            ENTRY_DATE: bindparam("the_date"),
            ENTRY_USER: bindparam("the_user"),
            ENTRY_VERSION: bindparam("the_version"),
        }
    )
)


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
        carefully = False
        for _ in range(_CONTENTION_ATTEMPTS):
            try:
                return self._write_once(key, plan, carefully)
            except _LedgerTakenError:
                continue
            except SQLAlchemyError as error:
                kind = kind_of(error)
                if kind in _ITEM_FAULTS and not carefully:
                    carefully = True
                elif kind is not FailureKind.CONTENTION:
                    raise TargetFailure(kind) from None
        raise TargetFailure(FailureKind.TOO_SLOW)

    def rehearse(self, plan: WritePlan) -> None:
        """Do all that writing does, and keep nothing. Raises TargetFailure."""
        try:
            with self._engine.connect() as connection, connection.begin() as transaction:
                for wave in plan.waves:
                    self._apply_carefully(connection, wave, plan.guard_care_plan, list(plan.decided))
                transaction.rollback()
        except SQLAlchemyError as error:
            raise TargetFailure(kind_of(error)) from None

    def _write_once(self, key: LedgerKey, plan: WritePlan, carefully: bool) -> list[Outcome]:
        with self._engine.connect() as connection, connection.begin():
            before = connection.execute(
                _OUTCOME.where(INGEST_LEDGER.c.job_id == key.job_id, INGEST_LEDGER.c.chunk_no == key.chunk_no)
            ).scalar_one_or_none()
            if before is not None:
                return unpack_outcomes(before)
            outcomes = list(plan.decided)
            if carefully and connection.dialect.name == "postgresql":
                connection.execute(_CHECK_AT_ONCE)
            for wave in plan.waves:
                apply = self._apply_carefully if carefully else self._apply
                apply(connection, wave, plan.guard_care_plan, outcomes)
            settled = [outcome or REFUSED for outcome in outcomes]
            _note(connection, key, settled)
            return settled

    def _apply(
        self, connection: Connection, wave: Sequence[Entry], guard_care_plan: bool, outcomes: list[Outcome | None]
    ) -> None:
        """Write a wave and set its outcomes."""
        written = self._upsert(connection, [entry.row for entry in wave], guard_care_plan)
        passed_over = []
        for entry in wave:
            created = written.get(entry.row[KEY])
            if created is None:
                passed_over.append(entry)
            else:
                outcomes[entry.place] = CREATED if created else UPDATED
        if passed_over:
            _pass_over(connection, passed_over, outcomes)

    def _apply_carefully(
        self, connection: Connection, wave: Sequence[Entry], guard_care_plan: bool, outcomes: list[Outcome | None]
    ) -> None:
        """Write a wave although some of its items are refused: halve it until the culprits are alone."""
        try:
            with connection.begin_nested():
                self._apply(connection, wave, guard_care_plan, outcomes)
        except SQLAlchemyError as error:
            kind = kind_of(error)
            if kind not in _ITEM_FAULTS:
                raise
            if len(wave) == 1:
                outcomes[wave[0].place] = conflict(error) if kind is FailureKind.CONFLICT else REFUSED
                return
            middle = len(wave) // 2
            for half in (wave[:middle], wave[middle:]):
                self._apply_carefully(connection, half, guard_care_plan, outcomes)


class Targets:
    """The writers of one process, one for each target database."""

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self._tenants = tenants
        self._engines: dict[str, Engine] = {}

    def writer(self, database: str) -> Writer:
        """The writer of a database."""
        if database not in self._engines:
            self._engines[database] = engine_for(self._tenants[database])
        return self._writer_on(self._engines[database])

    def own_writer(self, database: str) -> Writer:
        """A writer with a connection of its own, for a process that was forked."""
        return self._writer_on(engine_for(self._tenants[database]))

    def let_go(self, database: str) -> None:
        """Drop the connections to a database, in whatever state they are."""
        engine = self._engines.pop(database, None)
        if engine is not None:
            engine.dispose()

    def _writer_on(self, engine: Engine) -> Writer:
        return Writer(engine, upsert_for(engine.dialect.name))


def _pass_over(connection: Connection, entries: Sequence[Entry], outcomes: list[Outcome | None]) -> None:
    """Set the outcomes of entries that the upsert left out.

    The case holds a newer version: superseded. It may have been created by that one, though this one was accepted
    before it: then the entry date and user are this one's. Otherwise only the care plan's guard can have held it back.
    """
    keys = [entry.row[KEY] for entry in entries]
    held = {int(key): int(version) for key, version in connection.execute(_HELD.where(CARE_CASE.c[KEY].in_(keys)))}
    older = []
    for entry in entries:
        version = held.get(entry.row[KEY])
        if version is None:
            outcomes[entry.place] = REFUSED  # a trigger of the database kept it out
        elif version >= entry.row[VERSION]:
            outcomes[entry.place] = SUPERSEDED
            older.append(entry.row)
        else:
            outcomes[entry.place] = OTHER_CARE_PLAN
    if older:
        connection.execute(
            _BACKDATE,
            [
                {
                    "the_key": row[KEY],
                    "the_version": row[VERSION],
                    "the_date": row[ENTRY_DATE],
                    "the_user": row[ENTRY_USER],
                }
                for row in older
            ],
        )


def _note(connection: Connection, key: LedgerKey, outcomes: Sequence[Outcome]) -> None:
    row = {"job_id": key.job_id, "chunk_no": key.chunk_no, "outcome": pack_outcomes(outcomes)}
    try:
        connection.execute(insert(INGEST_LEDGER), row)
    except IntegrityError:
        raise _LedgerTakenError from None
