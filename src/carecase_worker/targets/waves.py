"""The writing of one wave of cases, and the outcome of each case."""

from sqlalchemy import Connection

from carecase_worker.cases.care_case import CARE_PLAN
from carecase_worker.cases.outcomes import CREATED, OTHER_CARE_PLAN, REFUSED, SUPERSEDED, UPDATED, Outcome
from carecase_worker.targets.plan import Wave, key_of
from carecase_worker.targets.upserts import Upsert


def apply_wave(
    connection: Connection, upsert: Upsert, wave: Wave, guard_care_plan: bool, outcomes: list[Outcome | None]
) -> None:
    """Write a wave and set its outcomes."""
    written = upsert.write(connection, wave, guard_care_plan)
    for keys, outcome in ((written.created, CREATED), (written.updated, UPDATED)):
        if len(keys) == len(wave.keys):
            for place in wave.places:
                outcomes[place] = outcome
            return
    outcome_of = dict.fromkeys(written.created, CREATED) | dict.fromkeys(written.updated, UPDATED)
    for key, place in zip(wave.keys, wave.places, strict=True):
        outcomes[place] = outcome_of.get(key)
    _explain_skipped(connection, upsert, wave, guard_care_plan, outcomes)


def _explain_skipped(
    connection: Connection, upsert: Upsert, wave: Wave, guard_care_plan: bool, outcomes: list[Outcome | None]
) -> None:
    """Set the outcomes of the cases that the upsert left out.

    A case that holds a newer version is SUPERSEDED. If that version also created it, although this one was accepted
    before, entry date and user become this one's. Any other case was held back by the guard of its care plan, or kept
    out by a trigger of the database.
    """
    cases = zip(wave.keys, wave.places, wave.versions, strict=True)
    passed_over = [case for case in cases if outcomes[case[1]] is None]
    found = upsert.held(connection, [key for key, _, _ in passed_over])
    kept_out = []
    for key, place, version in passed_over:
        if key in found and found[key].version >= version:
            outcomes[place] = SUPERSEDED
        else:
            outcomes[place] = REFUSED
            kept_out.append(key)
    if kept_out and guard_care_plan:
        for entry in wave.entries():
            held = found.get(key_of(entry)) if outcomes[entry.place] is REFUSED else None
            if held is not None and held.care_plan != entry.row[CARE_PLAN]:
                outcomes[entry.place] = OTHER_CARE_PLAN
    if any(key in found and found[key].entry_version > version for key, _, version in passed_over):
        upsert.backdate(connection, wave)
