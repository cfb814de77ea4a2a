"""One wave of cases written, and what became of each case."""

from sqlalchemy import Connection

from carecase_worker.cases.outcome import CREATED, OTHER_CARE_PLAN, REFUSED, SUPERSEDED, UPDATED, Outcome
from carecase_worker.targets.plan import Wave
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
    _pass_over(connection, upsert, wave, outcomes)


def _pass_over(connection: Connection, upsert: Upsert, wave: Wave, outcomes: list[Outcome | None]) -> None:
    """Set the outcomes of the cases that the upsert left out.

    The case holds a newer version: superseded. It may have been created by that one, though this one was accepted
    before it: then the entry date and user are this one's. Otherwise only the care plan's guard can have held it
    back.
    """
    cases = zip(wave.keys, wave.places, wave.versions, strict=True)
    passed_over = [case for case in cases if outcomes[case[1]] is None]
    held = upsert.versions(connection, [key for key, _, _ in passed_over])
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
        upsert.backdate(connection, wave)
