"""Several chunks of one database merged into one plan, and their outcomes split again. Pure."""

from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter

from carecase_worker.cases.outcomes import Outcome
from carecase_worker.targets.plan import Wave, WaveOfAll, WaveOfChunks, WaveOfRows, WritePlan, in_waves
from carecase_worker.targets.tables import VERSION


def as_one(plans: Sequence[WritePlan]) -> WritePlan:
    """Merge plans into one that writes each case in the order of its versions.

    Their care plan guard is the same, but for those that write nothing: these have none. An item's index is then
    counted through all chunks.
    """
    return WritePlan(
        keys=[key for plan in plans for key in plan.keys],
        decided=[outcome for plan in plans for outcome in plan.decided],
        waves=_whole(plans) or _by_version(plans),
        guard_care_plan=any(map(attrgetter("guard_care_plan"), plans)),
    )


def _whole(plans: Sequence[WritePlan]) -> Sequence[Wave]:
    """Return one wave of whole chunks; none if a case is in two of them, or one was validated item by item."""
    waves = [wave for plan in plans for wave in plan.waves]
    chunks = [wave for wave in waves if isinstance(wave, WaveOfAll)]
    keys = {key for chunk in chunks for key in chunk.keys}
    return (WaveOfChunks(chunks),) if len(keys) == sum(len(plan.keys) for plan in plans) else ()


def _by_version(plans: Sequence[WritePlan]) -> Sequence[Wave]:
    """Return waves of all cases, each case's in the order of its versions."""
    firsts = accumulate((len(plan.keys) for plan in plans), initial=0)
    entries = [
        entry.moved(first)
        for first, plan in zip(firsts, plans, strict=False)
        for wave in plan.waves
        for entry in wave.entries()
    ]
    entries.sort(key=lambda entry: int(entry.row[VERSION]))
    defaults = [wave.defaults for plan in plans for wave in plan.waves]
    return [WaveOfRows(wave, defaults[0]) for wave in in_waves(entries)]


def apart(outcomes: Sequence[Outcome], plans: Sequence[WritePlan]) -> list[list[Outcome]]:
    """Split the outcomes of all items into those of each plan."""
    ends = list(accumulate(len(plan.keys) for plan in plans))
    return [list(outcomes[end - len(plan.keys) : end]) for end, plan in zip(ends, plans, strict=True)]
