"""Writing of one wave, and the outcome of each of its cases."""

from collections.abc import Mapping

from sqlalchemy import Connection

from carecase_worker.cases.care_case import CARE_PLAN
from carecase_worker.cases.outcomes import CREATED, OTHER_CARE_PLAN, REFUSED, SUPERSEDED, UPDATED, Outcome
from carecase_worker.targets.dialects.upsert import Stored, Turn, Upsert
from carecase_worker.targets.plan import Entry, Wave, WaveOfRows, key_of
from carecase_worker.targets.tables import VERSION


def apply_wave(connection: Connection, upsert: Upsert, wave: Wave, guard_care_plan: bool) -> list[Outcome]:
    """Write a wave; return the outcome of each case, in the order of the wave's keys."""
    if wave.in_turn:
        rows = WaveOfRows(wave.entries(), wave.defaults)
        turns = upsert.write_in_turn(connection, rows, guard_care_plan)
        return [outcome_of_turn(*one, guard_care_plan) for one in zip(rows.rows, turns, strict=True)]
    written = upsert.write(connection, wave, guard_care_plan)
    for keys, outcome in ((written.created, CREATED), (written.updated, UPDATED)):
        if len(keys) == len(wave.keys):
            return [outcome] * len(keys)
    if not written.created and not written.updated and _are_superseded(connection, upsert, wave):
        return [SUPERSEDED] * len(wave.keys)
    outcome_of = dict.fromkeys(written.created, CREATED) | dict.fromkeys(written.updated, UPDATED)
    if len(outcome_of) < len(wave.keys):
        outcome_of |= _explain_skipped(connection, upsert, wave, guard_care_plan, outcome_of)
    return [outcome_of[key] for key in wave.keys]


def _are_superseded(connection: Connection, upsert: Upsert, wave: Wave) -> bool:
    """Return whether newer versions of all cases are there; then those that one of them created are backdated.

    It spares reading and comparing each stored case.
    """
    newer = upsert.newer(connection, wave.keys, wave.versions)
    if newer.cases < len(wave.keys):
        return False
    if newer.created:
        upsert.backdate(connection, wave)
    return True


def _explain_skipped(
    connection: Connection, upsert: Upsert, wave: Wave, guard_care_plan: bool, written: Mapping[int, Outcome]
) -> dict[int, Outcome]:
    """Return the outcomes, by key, of the cases that the upsert left out.

    A case with a newer version is SUPERSEDED. If that version also created it, although this one was accepted before,
    entry date and user become this one's. Any other case was skipped by the care plan guard or by a trigger.
    """
    skipped = {key: version for key, version in zip(wave.keys, wave.versions, strict=True) if key not in written}
    found = upsert.stored(connection, [*skipped])
    care_plans: dict[int, int] = {}
    if guard_care_plan and any(
        key in found and found[key].stored.version < version for key, version in skipped.items()
    ):
        care_plans = {key_of(entry): entry.row[CARE_PLAN] for entry in wave.entries()}
    outcomes = {
        key: _left_out(found[key].stored if key in found else None, version, care_plans.get(key))
        for key, version in skipped.items()
    }
    if any(key in found and found[key].entry_version > version for key, version in skipped.items()):
        upsert.backdate(connection, wave)
    return outcomes


def outcome_of_turn(entry: Entry, turn: Turn, guard_care_plan: bool) -> Outcome:
    """Return the outcome of a case that was written in its turn, as a wave of its own would give it."""
    if turn.created is not None:
        return CREATED if turn.created else UPDATED
    return _left_out(turn.stored, entry.row[VERSION], entry.row[CARE_PLAN] if guard_care_plan else None)


def _left_out(stored: Stored | None, version: int, care_plan: int | None) -> Outcome:
    """Return the outcome of a case that was not written, by what is stored; `care_plan` is the guard's, if any."""
    if stored is not None and stored.version >= version:
        return SUPERSEDED
    if stored is not None and care_plan is not None and stored.care_plan != care_plan:
        return OTHER_CARE_PLAN
    return REFUSED
