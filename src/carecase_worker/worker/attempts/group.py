"""Groups: small chunks of many jobs, applied in one transaction; a chunk that does not fit in is applied alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from operator import attrgetter
from typing import assert_never

from carecase_worker.clock import NEVER
from carecase_worker.errors import Cause, FailureKind, PayloadUnreadable, SealBroken, StoreUnavailable, TargetFailure
from carecase_worker.store.operations.claims import Claimed, Claims, Lease, RetryLater
from carecase_worker.targets.plan import WritePlan
from carecase_worker.telemetry import logger
from carecase_worker.worker.attempts.attempt import Applied, Applier, released
from carecase_worker.worker.attempts.planning import to_chunk_result
from carecase_worker.worker.attempts.retry_policy import GiveUp, plan_retry
from carecase_worker.worker.attempts.writing import ledger_key
from carecase_worker.worker.metrics import Stage

_log = logger("worker")
_ALONE_FOR_S = 1.0
"""Seconds after which no further chunk of a group is applied alone: a group has the deadline of a single chunk."""
_AWAY = f"released: {FailureKind.AWAY.value}"


@dataclass(frozen=True, slots=True)
class Member:
    """A leased chunk of a group, to apply or to cancel."""

    lease: Lease
    cancel: bool


def members_of(claims: Claims) -> list[Member]:
    """Return the chunks that were claimed for the caller."""
    return [Member(claim.lease, claim.verdict is Claimed.CANCEL) for _, claim in claims if claim.lease is not None]


def run_group(applier: Applier, members: Sequence[Member], claims_until: float = NEVER) -> Applied:
    """Apply leased chunks of one database, together as far as possible; until `claims_until`, claim the next work.

    The outcomes are the same as if each were applied alone. Raises StoreUnavailable.
    """
    if len(members) == 1:
        return applier.run(members[0].lease, members[0].cancel, claims_until)
    began = applier.seconds()
    with applier.span.child("validate"):
        together, alone = _prepared(applier, members)
    applied = Applied("", members[0].lease.database)
    if together:
        try:
            writer = applier.targets.writer(applied.database)
            with applier.span.child("write"), applier.meter.stage(Stage.WRITE):
                written = writer.write_group([(ledger_key(member.lease), plan) for member, plan in together])
        except TargetFailure as failure:
            _log.warning("chunks not applied", database=applied.database, reason=str(failure), count=len(together))
            applied = fail(applier, [member for member, _ in together], failure.kind, failure.cause)
        else:
            done = [
                (member.lease, to_chunk_result(plan, outcomes))
                for (member, plan), outcomes in zip(together, written, strict=True)
                if outcomes is not None
            ]
            alone += [member for (member, _), outcomes in zip(together, written, strict=True) if outcomes is None]
            if done:
                applier.meter.attempts(applied.database, len(done))
                applied = applier.complete(done, NEVER if alone else claims_until)
    return _each_alone(applier, alone, applied, claims_until, began)


def _each_alone(
    applier: Applier, alone: Sequence[Member], applied: Applied, claims_until: float, began: float
) -> Applied:
    """Apply chunks one by one, while there is time and their database responds; release the others."""
    for number, member in enumerate(alone, 1):
        is_away = applied.verdict == _AWAY
        if is_away or (number > 1 and applier.seconds() - began > _ALONE_FOR_S):
            rest = [one.lease.chunk for one in alone[number - 1 :]]
            reason = applied.reason if is_away else "the other chunks of the group took its time"
            _log.info("chunks not applied", database=applied.database, reason=reason, count=len(rest))
            # counted as too slow, so that each goes alone from then on
            applier.leases.release(
                rest, applier.holder, RetryLater(timedelta(0), too_slow=not is_away, counts_toward_deadline=False)
            )
            break
        try:
            last = applier.run(member.lease, member.cancel, claims_until if number == len(alone) else NEVER)
        except StoreUnavailable as error:
            _log.warning("chunks left for the sweep", reason=str(error), count=len(alone) - number + 1)
            break
        applied = _both(applied, last)
    return applied


def fail(applier: Applier, members: Sequence[Member], kind: FailureKind, cause: Cause | None = None) -> Applied:
    """Release chunks after a failed attempt at all of them, or give them up. Raises StoreUnavailable.

    All get the longest delay of any of them, since it is one failure of their database.
    """
    waits: list[tuple[Lease, RetryLater]] = []
    applied = released(members[0].lease.database, kind, cause)
    for member in members:
        match plan_retry(kind, member.lease.history, applier.retry_deadline, applier.random.random()):
            case RetryLater() as wait:
                waits.append((member.lease, wait))
            case GiveUp():
                applied = _both(applied, applier.fail(member.lease, kind, cause, member.cancel))
            case never:
                assert_never(never)
    if waits:
        longest = max((wait for _, wait in waits), key=attrgetter("after"))
        applier.release([lease for lease, _ in waits], longest, kind, cause)
    return applied


def _prepared(applier: Applier, members: Sequence[Member]) -> tuple[list[tuple[Member, WritePlan]], list[Member]]:
    """Return the chunks that can be applied together, with their plans, and those that must be applied alone."""
    together, alone = [], []
    for member in members:
        lease = member.lease
        if lease.unsettled or lease.dry_run or lease.database != members[0].lease.database:
            alone.append(member)
            continue
        try:
            together.append((member, applier.prepared(lease, member.cancel)))
        except (PayloadUnreadable, SealBroken):
            alone.append(member)
    return together, alone


def _both(one: Applied, other: Applied) -> Applied:
    """Merge two results: the later one, with the notifications and items of both and the reason of any release."""
    to_notify = (*one.to_notify, *(notify for notify in other.to_notify if notify not in one.to_notify))
    return replace(other, to_notify=to_notify, items=one.items + other.items, reason=other.reason or one.reason)
