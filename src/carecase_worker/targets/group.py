"""Several chunks of one database as one plan, and the outcomes apart again. Pure."""

from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter

from carecase_worker.cases.outcome import Outcome
from carecase_worker.targets.plan import Defaults, Entry, WaveOfRows, WritePlan, in_waves
from carecase_worker.targets.tables import VERSION


def as_one(plans: Sequence[WritePlan]) -> WritePlan:
    """The plan that writes what all these write, each case in the order of its versions; no two guard differently.

    An item's place is its place in the chunk, after all items of the chunks before.
    """
    firsts = accumulate((len(plan.keys) for plan in plans), initial=0)
    entries = [
        Entry(first + entry.place, entry.row)
        for first, plan in zip(firsts, plans, strict=False)
        for wave in plan.waves
        for entry in wave.entries()
    ]
    entries.sort(key=lambda entry: int(entry.row[VERSION]))
    defaults: Sequence[Defaults] = [wave.defaults for plan in plans for wave in plan.waves]
    return WritePlan(
        keys=[key for plan in plans for key in plan.keys],
        decided=[outcome for plan in plans for outcome in plan.decided],
        waves=[WaveOfRows(wave, defaults[0]) for wave in in_waves(entries)],
        guard_care_plan=any(map(attrgetter("guard_care_plan"), plans)),
    )


def apart(outcomes: Sequence[Outcome], plans: Sequence[WritePlan]) -> list[list[Outcome]]:
    """The outcomes of each plan's own items, from those of all."""
    ends = list(accumulate(len(plan.keys) for plan in plans))
    return [list(outcomes[end - len(plan.keys) : end]) for end, plan in zip(ends, plans, strict=True)]
