"""Cases that a database refuses although it answers: found within a transaction, so that the others are written.

An error says only that a statement failed. A trigger may raise any SQLSTATE over one case, also one that otherwise
means that the database is away. So the cases are tried in savepoints until the culprits are alone, and the database
counts as away only if it takes nothing else either (decision 0022).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import NoReturn

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.cases.care_case import CARE_PLAN, FIELDS, INT32_MIN, KEY
from carecase_worker.cases.outcomes import REFUSED, Kind, Outcome
from carecase_worker.clock import monotonic
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.constraints import Constraints
from carecase_worker.targets.failures import ITEM_FAULTS, answered, away, classify, code_of, raised_by_code
from carecase_worker.targets.limits import is_a_lock, limit_statements, may_have_waited_for_us
from carecase_worker.targets.plan import Entry, WaveOfRows, WritePlan
from carecase_worker.targets.sqlite_file import has_lost_transaction
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION
from carecase_worker.targets.upserts import Upsert, nothing_written
from carecase_worker.targets.waves import apply_wave

_TRIES_ALONE = 3
_PIECES = 32
_FOR_ALL, _FOR_PIECES, _FOR_SUSPECTS = 1 / 8, 1 / 4, 3 / 4
"""Parts of the time that is left: for all cases together, for all pieces of a slow part, and for single slow cases."""
_FOR_A_HALF = 1 / 16
"""The part of an attempt's time for one statement on SQLite, be it for all cases, a half or a single one."""
_LEAST_S, _LAST_S = 0.01, 0.5
_PATIENT_ATTEMPT = 3
"""The attempt from which a case may be given up because others hold a lock on it."""

Pieces = list[Sequence[Entry]]


class TransactionLostError(Exception):
    """The database rolled back the whole transaction; nothing is written, but the findings have grown."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The deadline of an attempt on the monotonic, its length in seconds, and what broke a transaction.

    `broke` has the errors of parts of waves. `takes` says whether the database took a case that was made up to test it.
    """

    until: float
    time_s: float
    broke: dict[tuple[int, int], SQLAlchemyError] = field(default_factory=dict)
    takes: dict[int, bool] = field(default_factory=dict)


class Sifter:
    """A writer of a plan's waves on one connection, which sifts out the cases that the database refuses.

    It sets the outcomes.

    Every second attempt at a chunk is a slow one, which also finds the cases that take too long. It shares out the time
    between ever smaller pieces, so that one slow case costs little more than its own time. The longer a chunk has been
    failing, the sooner a case counts as too slow. SQLite rolls back the whole transaction when it is interrupted: then
    another sifter begins anew with the same findings, and does not try again what broke the transaction.
    """

    def __init__(
        self,
        connection: Connection,
        upsert: Upsert,
        plan: WritePlan,
        outcomes: list[Outcome | None],
        findings: Findings,
    ) -> None:
        self.refused: Counter[str] = Counter()
        """Codes of the cases that the database refused, other than for a conflict."""
        self._connection = connection
        self._upsert = upsert
        self._plan = plan
        self._outcomes = outcomes
        self._findings = findings
        self._enough_s = max(_LEAST_S, findings.time_s / 4 ** (1 + plan.attempts // 2))
        self._sqlite_limit_s = min(self._enough_s, findings.time_s * _FOR_A_HALF)
        self._constraints = Constraints(connection)
        self._taken = 0
        self._suspects: dict[int, Entry] = {}
        self._slow = 0
        self._table_is_there = False

    def apply(self, wave: WaveOfRows) -> None:
        """Write a wave. Raises TargetFailure or SQLAlchemyError if no case is to blame, and TransactionLostError."""
        self._limit(self._left_s())
        if self._plan.slowly and self._connection.dialect.name != "sqlite":
            self._apply_in_time(wave)
            return
        if self._plan.slowly:
            self._limit(self._sqlite_limit_s)
        self._halve(wave)

    def settle(self) -> None:
        """Make sure that the cases were at fault. Raises TargetFailure if the database takes nothing else either."""
        if self._suspects and self._taken < max(1, self._slow) and not self._takes_another():
            code = "".join([*self.refused][:1])
            raise TargetFailure(FailureKind.TOO_SLOW, code) if self._slow else away(code)
        self._limit(max(self._left_s(), _LAST_S))

    def _halve(self, wave: WaveOfRows) -> None:
        """Write a wave; halve it until the refused cases are alone."""
        error = self._findings.broke.get(_group(wave)) or self._try(wave)
        if error is None:
            return
        if len(wave.rows) == 1:
            self._refuse(wave, error)
            return
        middle = len(wave.rows) // 2
        for half in (wave.rows[:middle], wave.rows[middle:]):
            self._halve(WaveOfRows(half, wave.defaults))

    def _try(self, wave: WaveOfRows) -> SQLAlchemyError | None:
        """Write a wave in a savepoint; return the error if a single case may be at fault. Raises any other error."""
        self._left_s()
        savepoint = self._connection.begin_nested()
        try:
            apply_wave(self._connection, self._upsert, wave, self._plan.guard_care_plan, self._outcomes)
            savepoint.commit()
        except SQLAlchemyError as error:
            if has_lost_transaction(self._connection):
                self._begin_again_without(wave, error)
            savepoint.rollback()
            if not answered(error) or classify(error) is FailureKind.TOO_SLOW:
                raise
            self._look_for_the_table(error)
            return error
        self._taken += len(wave.rows)
        return None

    def _begin_again_without(self, wave: WaveOfRows, error: SQLAlchemyError) -> NoReturn:
        """Note the cases that broke the transaction and raise TransactionLostError.

        If no case can be at fault, raise the error itself.
        """
        if not answered(error) and not (self._plan.slowly and classify(error) is FailureKind.TOO_SLOW):
            raise error
        self._findings.broke[_group(wave)] = error
        raise TransactionLostError

    def _look_for_the_table(self, error: SQLAlchemyError) -> None:
        """Write no case at all, once, to see whether table, columns and privileges are there.

        If that fails, too, no case is at fault: raises TargetFailure.
        """
        if self._table_is_there or classify(error) in ITEM_FAULTS:
            return
        try:
            with self._connection.begin_nested():
                self._connection.execute(nothing_written(self._connection.dialect.name))
        except SQLAlchemyError:
            raise away(code_of(error)) from None
        self._table_is_there = True

    def _refuse(self, wave: WaveOfRows, error: SQLAlchemyError) -> None:
        """Set the outcome of a single case that was refused."""
        kind = classify(error)
        if kind is FailureKind.CONTENTION:
            if not self._plan.slowly or not raised_by_code(error):
                raise error
            if any(self._try(wave) is None for _ in range(_TRIES_ALONE - 1)):
                return
        if kind is FailureKind.TOO_SLOW:
            self._give_up([(wave.rows, code_of(error))], self._sqlite_limit_s)
            return
        (entry,) = wave.rows
        outcome = self._constraints.conflict(error) if kind is FailureKind.CONFLICT else REFUSED
        self._outcomes[entry.place] = outcome
        if outcome.kind is not Kind.CONFLICT:
            self.refused[code_of(error)] += 1
        if kind in ITEM_FAULTS:
            self._taken += 1  # it counts as taken: the database has judged this very case
        else:
            self._suspects[entry.place] = entry

    def _apply_in_time(self, wave: WaveOfRows) -> None:
        """Write a wave in pieces, each in its share of the time; give up the cases that take more by themselves."""
        pieces: Pieces = [wave.rows]
        part = _FOR_ALL
        while pieces:
            share_s = self._left_s() * part / len(pieces)
            self._limit(share_s)
            slow = [
                (piece, code) for piece in pieces if (code := self._too_slow(WaveOfRows(piece, wave.defaults), share_s))
            ]
            if part == _FOR_SUSPECTS:
                self._give_up(slow, share_s)
                return
            part = _FOR_SUSPECTS if len(pieces[0]) == 1 else _FOR_PIECES
            pieces = [smaller for piece, _ in slow for smaller in _in_pieces(piece)]

    def _too_slow(self, wave: WaveOfRows, share_s: float) -> str:
        """Write a piece; return the error's code if it takes too long, else an empty text.

        A piece that takes too long is not written at all. Raises TargetFailure if it is a single case whose row another
        chunk may be holding.
        """
        try:
            with self._connection.begin_nested() if len(wave.rows) > 1 else nullcontext():
                self._halve(wave)
        except SQLAlchemyError as error:
            if not answered(error) or classify(error) is not FailureKind.TOO_SLOW:
                raise
            code = code_of(error)
            if len(wave.rows) == 1 and is_a_lock(code) and may_have_waited_for_us(self._connection, share_s):
                raise TargetFailure(FailureKind.TOO_SLOW, code) from None
            return code
        return ""

    def _give_up(self, slow: Sequence[tuple[Sequence[Entry], str]], share_s: float) -> None:
        """Refuse single cases that were too slow. Raises TargetFailure if they had too little time to prove it."""
        for (entry,), code in slow:
            if share_s < self._enough_s or (is_a_lock(code) and self._plan.attempts < _PATIENT_ATTEMPT):
                raise TargetFailure(FailureKind.TOO_SLOW, code)
            self._outcomes[entry.place] = REFUSED
            self.refused[code] += 1
            self._suspects[entry.place] = entry
            self._slow += 1

    def _takes_another(self) -> bool:
        """Return whether the database takes a case that is none of the suspects; nothing of it is kept.

        It is a copy of a stored case, since that was taken once, and if need be a suspect with its required fields
        alone.
        """
        held = self._connection.execute(select(CARE_CASE).limit(1)).mappings().first()
        copy = [{column.key: held[column] for column in CARE_CASE.c}] if held else []
        others = [*copy, _bare(next(iter(self._suspects.values())))]
        return any(self._takes(number, row) for number, row in enumerate(others))

    def _takes(self, number: int, row: Mapping[str, object]) -> bool:
        """Insert a case under an unused key, update it, and roll back; return whether the database took it."""
        if number in self._findings.takes:
            return self._findings.takes[number]
        savepoint = self._connection.begin_nested()
        try:
            self._limit(self._left_s() / 2)
            for version in (0, 1):
                other = {**row, KEY: INT32_MIN, VERSION: version, ENTRY_VERSION: version}
                wave = WaveOfRows([Entry(0, other)], self._plan.waves[0].defaults)
                self._upsert.write(self._connection, wave, guard_care_plan=False)
        except SQLAlchemyError as error:
            takes = answered(error) and classify(error) in ITEM_FAULTS
            if has_lost_transaction(self._connection):
                self._findings.takes[number] = takes
                raise TransactionLostError from None
            savepoint.rollback()
            return takes
        savepoint.rollback()
        return True

    def _left_s(self) -> float:
        """Return the seconds that are left. Raises TargetFailure if there are none."""
        left = self._findings.until - monotonic()
        if left <= 0:
            raise TargetFailure(FailureKind.TOO_SLOW)
        return left

    def _limit(self, share_s: float) -> None:
        limit_statements(self._connection, share_s)


def _group(wave: WaveOfRows) -> tuple[int, int]:
    """Return the name of a part of a wave: its first place and its size, the same each time the wave is halved."""
    return wave.rows[0].place, len(wave.rows)


def _in_pieces(entries: Sequence[Entry]) -> Pieces:
    size = -(-len(entries) // _PIECES)
    return [entries[first : first + size] for first in range(0, len(entries), size)]


def _bare(entry: Entry) -> dict[str, object]:
    """Return a case with its required fields alone."""
    required = {field.name for field in FIELDS if not field.nullable} | {CARE_PLAN}
    return {name: value if name in required else None for name, value in entry.row.items()}
