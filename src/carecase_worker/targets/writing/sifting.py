"""Sifting: finding the cases that a responding database refuses, within a transaction, so that the others are written.

An error says only that a statement failed. A trigger may raise any SQLSTATE for a single case, even one that otherwise
means that the database is away. So the cases are bisected in savepoints until the refused ones are isolated, and the
database counts as away only if it accepts no other case either (decision 0022). If many are refused, the database
itself writes them one by one: a statement for each would take too long where it is far away (decision 0085).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.cases.outcomes import REFUSED, Kind, Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.dialects.failures import ITEM_FAULTS
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.dialects.upsert import Fault, Upsert
from carecase_worker.targets.plan import Entry, WaveOfRows, WritePlan
from carecase_worker.targets.writing.constraints import Constraints
from carecase_worker.targets.writing.findings import Findings, TransactionLostError
from carecase_worker.targets.writing.other_cases import OtherCases
from carecase_worker.targets.writing.waves import apply_wave, outcome_of_turn

_T = TypeVar("_T")
_TRIES_ALONE = 3
_HALVED = 3
"""Number of pieces that are halved, which is gentler to the database; it writes each further one case by case."""
_MOST_FAULTS = 16
"""Number of faults that an attempt learns: if they are as many as the refused cases, halves take fewer statements."""
_PIECES, _FEW_TURNS = 32, 8  # so few cases go alone sooner than in turn, once one of them was refused
_FOR_ALL, _FOR_PIECES, _FOR_SUSPECTS = 1 / 8, 1 / 4, 3 / 4
"""Fractions of the remaining time: for all cases together, for the pieces of a slow part, and for single slow cases."""
_FOR_A_HALF = 1 / 16
"""Fraction of an attempt's time per statement, where interrupting one rolls back the whole transaction."""
_LEAST_S, _LAST_S = 0.01, 0.5
_PATIENT_ATTEMPT = 3
"""The attempt from which a case may be given up because of a lock held by others."""

Pieces = list[Sequence[Entry]]
Outcomes = dict[int, Outcome]
"""Outcomes of written or refused cases, by index."""


@dataclass(frozen=True, slots=True)
class _TooSlow:
    """A piece that timed out, so that none of it is written."""

    piece: Sequence[Entry]
    code: str


class Sifter:
    """A writer of a plan's waves on one connection, which sifts out the cases that the database refuses.

    Every second attempt at a chunk is a slow one, which also finds the cases that take too long. It divides the time
    among ever smaller pieces, so that one slow case costs little more than its own time. The longer a chunk has been
    failing, the sooner a case counts as too slow. If interrupting a statement rolls back the whole transaction, another
    sifter starts again with the same findings, and does not retry the cases that broke the transaction.
    """

    def __init__(self, connection: Connection, upsert: Upsert, plan: WritePlan, findings: Findings) -> None:
        self.refused: Counter[str] = Counter()
        """Codes of the cases that the database refused, other than for a conflict."""
        self._connection = connection
        self._upsert = upsert
        self._plan = plan
        self._findings = findings
        dialect = dialect_of(connection)
        self._errors, self._writing = dialect.errors, dialect.writing
        self._enough_s = max(_LEAST_S, findings.time_s / 4 ** (1 + plan.attempts // 2))
        self._fixed_limit_s = min(self._enough_s, findings.time_s * _FOR_A_HALF)
        self._constraints = Constraints(connection, dialect)
        self._taken = 0
        self._suspects: dict[int, Entry] = {}
        self._slow = 0
        self._table_is_there = False
        self._failures = 0
        self._known: dict[Fault, SQLAlchemyError] = {}
        self._faults_left = _MOST_FAULTS

    def apply(self, wave: WaveOfRows) -> Outcomes:
        """Write a wave; return the outcome of each case.

        Raises TargetFailure or SQLAlchemyError if no case is to blame, and TransactionLostError.
        """
        self._limit(self._findings.left_s())
        if self._plan.slowly and self._writing.survives_a_deadline:
            return self._apply_in_time(wave)
        if self._plan.slowly:
            self._limit(self._fixed_limit_s)
        return self._halve(wave)

    def verify(self) -> None:
        """Verify that the cases were at fault. Raises TargetFailure if the database accepts no other case either."""
        if self._suspects and self._taken < max(1, self._slow) and not self._another_is_accepted():
            code = "".join([*self.refused][:1])
            raise TargetFailure(FailureKind.TOO_SLOW, code) if self._slow else self._errors.away(code)
        self._limit(max(self._findings.left_s(), _LAST_S))

    def _halve(self, wave: WaveOfRows) -> Outcomes:
        """Write a wave; halve it until the refused cases are isolated."""
        tried = self._findings.broke.get(_group(wave)) or self._try(wave)
        if not isinstance(tried, SQLAlchemyError):
            return tried
        if len(wave.rows) == 1:
            return self._refuse(wave, tried)
        self._failures += 1
        are_many = wave.in_turn or self._failures > _HALVED
        outcomes, rest = self._write_past(wave) if are_many else (Outcomes(), wave.rows)
        if not rest:
            return outcomes
        are_few = wave.in_turn and len(rest) <= _FEW_TURNS
        for part in _in_pieces(rest, len(rest) if are_few else 2):
            outcomes |= self._halve(WaveOfRows(part, wave.defaults))
        return outcomes

    def _try(self, wave: WaveOfRows) -> Outcomes | SQLAlchemyError:
        """Write a wave in a savepoint; return the error if a single case may be at fault. Raises any other error."""
        write = partial(apply_wave, self._connection, self._upsert, wave, self._plan.guard_care_plan)
        written = self._in_savepoint(wave, write)
        if isinstance(written, SQLAlchemyError):
            return written
        self._taken += len(wave.rows)
        return dict(zip(wave.places, written, strict=True))

    def _write_past(self, wave: WaveOfRows) -> tuple[Outcomes, Sequence[Entry]]:
        """Write cases one by one within the database, past those with a known fault; one with another fault goes alone.

        Return the outcomes, and the cases that are left if the database has no such way or the faults are too many.
        """
        outcomes: Outcomes = {}
        rest, guard = wave.rows, self._plan.guard_care_plan
        while rest and self._faults_left:
            part = WaveOfRows(rest, wave.defaults)
            write = partial(self._upsert.write_past, self._connection, part, guard, self._known)
            results = self._in_savepoint(part, write)
            if results is None or isinstance(results, SQLAlchemyError):
                self._faults_left = 0
                break
            for entry, result in zip(rest, results, strict=False):
                if isinstance(result, Fault):
                    outcomes |= self._refuse_for(result, WaveOfRows([entry], wave.defaults))
                else:
                    outcomes[entry.place] = outcome_of_turn(entry, result.turn, guard)
                    self._taken += 1
            rest = rest[len(results) :]
        return outcomes, rest

    def _refuse_for(self, fault: Fault, wave: WaveOfRows) -> Outcomes:
        """Return the outcome of a single case with a fault; if that is unknown, write the case alone to know it."""
        if fault in self._known:
            return self._refuse(wave, self._known[fault])
        self._faults_left -= 1
        tried = self._try(wave)
        if not isinstance(tried, SQLAlchemyError):
            return tried
        if self._constraints.is_fault(tried, fault):
            self._known[fault] = tried
        return self._refuse(wave, tried)

    def _in_savepoint(self, wave: WaveOfRows, write: Callable[[], _T]) -> _T | SQLAlchemyError:
        """Write a wave in a savepoint; return the error if a single case may be at fault. Raises any other error."""
        self._findings.left_s()
        savepoint = self._connection.begin_nested()
        try:
            written = write()
            savepoint.commit()
        except SQLAlchemyError as error:
            if self._writing.has_lost_transaction(self._connection):
                self._begin_again_without(wave, error)
            savepoint.rollback()
            if not self._errors.answered(error) or self._errors.classify(error) is FailureKind.TOO_SLOW:
                raise
            self._look_for_the_table(error)
            return error
        return written

    def _begin_again_without(self, wave: WaveOfRows, error: SQLAlchemyError) -> NoReturn:
        """Record the cases that broke the transaction and raise TransactionLostError.

        If no case can be at fault, raise the error itself.
        """
        is_slow = self._plan.slowly and self._errors.classify(error) is FailureKind.TOO_SLOW
        if not is_slow and not self._errors.answered(error):
            raise error
        self._findings.broke[_group(wave)] = error
        raise TransactionLostError

    def _look_for_the_table(self, error: SQLAlchemyError) -> None:
        """Upsert zero cases, once, to check table, columns and privileges.

        If that fails, too, no case is at fault: raises TargetFailure.
        """
        if self._table_is_there or self._errors.classify(error) in ITEM_FAULTS:
            return
        try:
            with self._connection.begin_nested():
                self._connection.execute(self._writing.upsert_of_no_case)
        except SQLAlchemyError:
            raise self._errors.away(self._errors.code_of(error)) from None
        self._table_is_there = True

    def _refuse(self, wave: WaveOfRows, error: SQLAlchemyError) -> Outcomes:
        """Return the outcome of a single case that was refused."""
        kind, code = self._errors.classify(error), self._errors.code_of(error)
        if kind is FailureKind.CONTENTION:
            if not self._plan.slowly or not self._errors.raised_by_code(error):
                raise error
            for _ in range(_TRIES_ALONE - 1):
                if not isinstance(tried := self._try(wave), SQLAlchemyError):
                    return tried
        if kind is FailureKind.TOO_SLOW:
            return self._give_up([_TooSlow(wave.rows, code)], self._fixed_limit_s)
        (entry,) = wave.rows
        outcome = self._constraints.conflict(error) if kind is FailureKind.CONFLICT else REFUSED
        if outcome.kind is not Kind.CONFLICT:
            self.refused[code] += 1
        if kind in ITEM_FAULTS:
            self._taken += 1  # it counts as taken: the database has judged this very case
        else:
            self._suspects[entry.place] = entry
        return {entry.place: outcome}

    def _apply_in_time(self, wave: WaveOfRows) -> Outcomes:
        """Write a wave in pieces, each within its share of the time; give up single cases that exceed it."""
        outcomes: Outcomes = {}
        pieces: Pieces = [wave.rows]
        part = _FOR_ALL
        while pieces:
            share_s = self._findings.left_s() * part / len(pieces)
            self._limit(share_s)
            slow = []
            for piece in pieces:
                written = self._in_time(WaveOfRows(piece, wave.defaults), share_s)
                if isinstance(written, _TooSlow):
                    slow.append(written)
                else:
                    outcomes |= written
            if part == _FOR_SUSPECTS:
                return outcomes | self._give_up(slow, share_s)
            part = _FOR_SUSPECTS if len(pieces[0]) == 1 else _FOR_PIECES
            pieces = [smaller for one in slow for smaller in _in_pieces(one.piece)]
        return outcomes

    def _in_time(self, wave: WaveOfRows, share_s: float) -> Outcomes | _TooSlow:
        """Write a piece within its share of the time.

        A piece that times out is not written at all. Raises TargetFailure if it is a single case whose row another
        chunk may have locked.
        """
        try:
            with self._connection.begin_nested() if len(wave.rows) > 1 else nullcontext():
                return self._halve(wave)
        except SQLAlchemyError as error:
            if not self._errors.answered(error) or self._errors.classify(error) is not FailureKind.TOO_SLOW:
                raise
            code = self._errors.code_of(error)
            is_lock = len(wave.rows) == 1 and code in self._writing.lock_codes
            if is_lock and self._writing.may_have_waited_for_us(self._connection, share_s):
                raise TargetFailure(FailureKind.TOO_SLOW, code) from None
            return _TooSlow(wave.rows, code)

    def _give_up(self, slow: Sequence[_TooSlow], share_s: float) -> Outcomes:
        """Refuse single cases that were too slow. Raises TargetFailure if they had too little time to be sure."""
        outcomes: Outcomes = {}
        for one in slow:
            is_early = one.code in self._writing.lock_codes and self._plan.attempts < _PATIENT_ATTEMPT
            if share_s < self._enough_s or is_early:
                raise TargetFailure(FailureKind.TOO_SLOW, one.code)
            (entry,) = one.piece
            outcomes[entry.place] = REFUSED
            self.refused[one.code] += 1
            self._suspects[entry.place] = entry
            self._slow += 1
        return outcomes

    def _another_is_accepted(self) -> bool:
        """Return whether the database accepts a case other than the suspects."""
        others = OtherCases(self._connection, self._upsert, self._findings, self._plan.waves[0].defaults)
        return others.one_is_accepted(next(iter(self._suspects.values())))

    def _limit(self, share_s: float) -> None:
        self._writing.limit_statements(self._connection, share_s)


def _group(wave: WaveOfRows) -> tuple[int, int]:
    """Return the identity of a part of a wave, the same each time the wave is halved: its first index and its size."""
    return wave.rows[0].place, len(wave.rows)


def _in_pieces(entries: Sequence[Entry], most: int = _PIECES) -> Pieces:
    size = -(-len(entries) // most)
    return [entries[first : first + size] for first in range(0, len(entries), size)]
