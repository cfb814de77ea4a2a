"""What a walk through the states of the job store seldom comes by: its limits, clocks that are set back, odd states.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import MINUTE_MS, Batch

LONGEST_MS = 150_000  # of a lease of 15 seconds


@pytest.mark.parametrize(("bytes_before", "payload_bytes", "taken"), [(50, 9, 1), (50, 10, 1), (50, 11, 0), (0, 61, 0)])
def test_exactly_the_bytes_of_the_backlog_are_taken(
    beside: Beside, bytes_before: int, payload_bytes: int, taken: int
) -> None:
    if bytes_before:
        beside.admitted("a", payload_bytes=bytes_before)
    beside.admitted("other", payload_bytes=60, database="other")
    late = Batch("b", payload_bytes=payload_bytes, idempotency="idem:k")
    for _ in range(2):
        beside.stage(late, 0)
        assert beside.admit(late)[0] == ("admitted" if taken else "full")


def test_exactly_the_jobs_of_the_backlog_are_taken(beside: Beside) -> None:
    for number in range(5):
        beside.admitted(f"a{number}")
    late = Batch("b")
    beside.stage(late, 0)
    assert beside.admit(late) == ["full"]
    beside.complete("a3", 0)
    beside.stage(late, 0)
    assert beside.admit(late) == ["admitted", "b:0"]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_a_new_database_may_have_as_many_jobs_as_any(beside: Beside, most: int) -> None:
    beside.limits = replace(beside.limits, max_jobs=most)
    for number in range(3):
        beside.stage(Batch(f"a{number}"), 0)
        assert beside.admit(Batch(f"a{number}"))[0] == ("admitted" if number < most else "full")


@pytest.mark.parametrize("staged", [(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (1, 2, 3)])
def test_a_batch_is_all_there_or_lost(beside: Beside, staged: tuple[int, ...]) -> None:
    batch = Batch("a", (1, 1, 1), idempotency="idem:k")
    beside.stage(batch, *staged)
    assert beside.admit(batch)[0] == ("admitted" if len(staged) == 3 else "lost")
    beside.admit(replace(batch, job="b"))


@pytest.mark.parametrize("ends", ["completed", "cancelled"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_batch_that_is_admitted_again_stays_what_it_has_become(beside: Beside, ends: str, keep: bool) -> None:
    """Its chunks were staged again: those that are done go at once, or with the result."""
    batch = beside.admitted("a", (1, 1, 2))

    def again() -> None:
        beside.stage(batch, *range(3))
        beside.elapse(1000)
        assert beside.admit(batch) == ["admitted"]

    again()
    beside.claim("a", 0, "w")
    beside.complete("a", 0, keep=keep)
    again()
    if ends == "cancelled":
        beside.cancel("a")
        again()
    for n, size in ((1, 1), (2, 2)):
        beside.complete("a", n, counts={"cancelled" if ends == "cancelled" else "failed": size}, keep=keep)
    assert beside.model.jobs["a"].state == ends
    again()
    beside.elapse(beside.limits.retention_ms)
    again()


@pytest.mark.parametrize("left_ms", [-1, 0, 1, 15_000, LONGEST_MS - 1, LONGEST_MS, LONGEST_MS + 1])
@pytest.mark.parametrize("holder", ["w", "v"])
def test_a_lease_lasts_as_long_as_it_says_and_never_longer_than_any(beside: Beside, left_ms: int, holder: str) -> None:
    """More than any lease may have is left of one from before the clock was set back."""
    beside.admitted("a")
    beside.claim("a", 0, "w")
    beside.elapse(15_000 - left_ms)
    beside.claim("a", 0, holder)
    beside.claim("a", 0, "u")
    beside.reclaim("w")
    beside.reclaim("v")


@pytest.mark.parametrize("state", ["running", "cancelling"])
@pytest.mark.parametrize("holder", ["w", "v"])
@pytest.mark.parametrize("open_circuit_ms", [15_000, 15_001, 15_002, 60_000])
def test_a_lease_that_has_run_out_is_taken_off_also_while_the_database_is_left_alone(
    beside: Beside, state: str, holder: str, open_circuit_ms: int
) -> None:
    beside.admitted("a", (1, 1))
    beside.claim("a", 0, "w")
    beside.claim("a", 1, "u")
    beside.release("a", 1, "u", open_circuit_ms=open_circuit_ms)
    beside.claim("a", 1, "u")
    if state == "cancelling":
        beside.cancel("a")
    beside.elapse(15_000)
    assert beside.claim("a", 0, holder)[0] == (
        "circuit_open" if open_circuit_ms > 15_000 else {"running": "apply"}.get(state, "cancel")
    )
    beside.reclaim("w")
    beside.reclaim("v")
    beside.elapse(60_000)
    beside.claim("a", 0, "v")


@pytest.mark.parametrize("lease_ms", [5_999, 6_000, 6_001, 15_000])
@pytest.mark.parametrize("more_ms", [-1, 0, 1])
@pytest.mark.parametrize("who_looks", ["claim", "overdue", "complete"])
def test_a_pause_lasts_as_long_as_it_says_and_never_longer_than_any(
    beside: Beside, lease_ms: int, more_ms: int, who_looks: str
) -> None:
    """Ten leases, at least a minute: what is to last longer is from before the clock was set back."""
    beside.limits = replace(beside.limits, lease_ms=lease_ms, width=3)
    beside.admitted("a", (1, 1, 1))
    for n, holder in enumerate("wvu"):
        beside.claim("a", n, holder)
    beside.complete("a", 2)
    beside.release("a", 0, "w", after_ms=0, open_circuit_ms=max(MINUTE_MS, 10 * lease_ms) + more_ms)
    match who_looks:
        case "claim":
            assert beside.claim("a", 0, "t")[0] == ("apply" if more_ms > 0 else "circuit_open")
        case "overdue":
            assert beside.overdue() == (["a:0"] if more_ms > 0 else [])
        case _:
            assert (beside.complete("a", 2, "v")[2] is not None) == (more_ms > 0)


@pytest.mark.parametrize("late", [0, 1, 9, 10, 11, 12])
@pytest.mark.parametrize(("waiting", "limit"), [(0, 500), (0, 11), (1, 500), (1, 1), (2, 500), (12, 500), (100, 5)])
def test_while_notifications_wait_only_the_surplus_and_a_few_are_notified_for(
    beside: Beside, late: int, waiting: int, limit: int
) -> None:
    beside.limits = replace(beside.limits, width=20)
    beside.admitted("a", (1,) * 14)
    for n in range(late, 14):
        beside.claim("a", n, f"w{n}")
    beside.elapse(2_000)
    assert len(beside.overdue("demo", waiting, limit)) <= limit
    beside.overdue("demo", waiting, limit)


@pytest.mark.parametrize("by_ms", [0, 1, 1_999, 2_000, 2_001])
def test_a_chunk_is_overdue_from_its_moment_on(beside: Beside, by_ms: int) -> None:
    beside.admitted("a", (1, 1, 1))
    beside.elapse(by_ms)
    assert len(beside.overdue()) == (2 if by_ms >= 2_000 else 0)


@pytest.mark.parametrize("back_ms", [LONGEST_MS - 1, LONGEST_MS, LONGEST_MS + 1, 10 * LONGEST_MS])
@pytest.mark.parametrize("limit", [1, 2, 500])
def test_what_would_be_due_too_late_is_notified_for_now(beside: Beside, back_ms: int, limit: int) -> None:
    beside.limits = replace(beside.limits, width=4)
    beside.admitted("a", (1,) * 5)
    beside.elapse(2_000 - back_ms)
    beside.admitted("b", (1,) * 5)
    beside.overdue("demo", 0, limit)
    beside.elapse(2_000)
    beside.overdue("demo", 0, limit)


@pytest.mark.parametrize("length_ms", [0, 1, 999, 1_000, 1_001, 3_000, 4_999, 5_000, 5_001, 60_000])
@pytest.mark.parametrize("items", [1, 7])
def test_the_pace_is_measured_over_windows(beside: Beside, length_ms: int, items: int) -> None:
    beside.limits = replace(beside.limits, width=5)
    beside.admitted("a", (items, 1, items, 2, 100))
    for n in range(4):
        beside.complete("a", n)
        beside.elapse(length_ms)
    assert (beside.model.databases["demo"].pace.get("items_per_second", 0) > 0) == (
        length_ms * 3 >= 1_000 and length_ms <= 5_000
    )


@pytest.mark.parametrize("expired", [1, 99, 100, 101, 150])
@pytest.mark.parametrize("who_counts", ["complete", "stage", "admit"])
def test_a_script_that_counts_takes_a_hundred_expired_jobs_off(beside: Beside, expired: int, who_counts: str) -> None:
    """The soonest first, of every client of the database, and of no other database."""
    now_ms = beside.model.now_ms
    beside.admitted("a")
    for database in ("demo", "other"):
        old = {("bob", f"old{number:03}", "result", 10): now_ms - number for number in range(expired)}
        left = old | {("bob", "young", "result", 10): now_ms + 1}
        beside.model.leaving[database] |= left
        beside.model.listed[database, "bob"] |= {job: 5 for _, job, _, _ in left}
        beside.model.counted |= {(database, name, "bob") for name in ("jobs", "bytes", "done")}
        counts = {"jobs": len(left), "bytes": 10 * len(left), "done": 10 * len(left)}
        beside.spoil(
            ("ZADD", f"leaving:{database}", *(w for one, at in left.items() for w in (at, "|".join(map(str, one))))),
            ("ZADD", f"jobs:{database}:bob", *(word for one in left for word in (5, one[1]))),
            *(("HINCRBY", f"kept:{database}", name, by) for name, by in counts.items()),
            *(("HINCRBY", f"kept:{database}", f"{name}:bob", by) for name, by in counts.items()),
        )
    match who_counts:
        case "complete":
            beside.complete("a", 0)
        case "stage":
            beside.stage(Batch("b"), 0)
        case _:
            beside.admit(Batch("b"), 0)
    assert beside.model.kept_of("demo", "bob")["jobs"] == 1 + max(0, expired - 100)


BIG = 10_000_000
RECORD, CHUNK = (
    4096,
    256,
)  # what is counted for a job, and for a chunk, beside its payload: docs/operations/kept-full.md


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("whose", ["client", "database"])
@pytest.mark.parametrize("what", ["jobs", "bytes", "done"])
def test_exactly_so_much_is_kept(beside: Beside, whose: str, what: str, more: int) -> None:
    """Of an open job, or of one whose result is kept; of a client, or of all clients together."""
    other = {"client": "ann", "database": "bob"}[whose]
    beside.admitted("a", client=other, payload_bytes=3)
    if what == "done":
        beside.complete("a", 0, packed="x" * 30)
    both = 2 * (RECORD + CHUNK + 3) + (27 if what == "done" else 0)
    most = {f"{whose}_jobs": 2 + more} if what == "jobs" else {f"{whose}_bytes": both + more}
    beside.limits = replace(beside.limits, **most)
    late = Batch("b", payload_bytes=3, idempotency="idem:k")
    why = "crowded" if what == "bytes" else "used"
    assert beside.admit(late, 0) == ([why, whose] if more < 0 else ["admitted", "b:0"])
    beside.admitted("d", database="other", payload_bytes=3)


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("whose", ["client", "database"])
def test_an_upload_counts_from_the_first_chunk_until_it_ends(beside: Beside, whose: str, more: int) -> None:
    """It ends admitted, discarded, or by itself after a quarter of an hour; what is staged twice counts once."""
    other = {"client": "ann", "database": "bob"}[whose]
    one, size = Batch("one", (1, 1), client=other), 2 * (CHUNK + len("one 0"))
    beside.limits = replace(beside.limits, **{f"{whose}_bytes": size + CHUNK + len("two 0") + more})
    for ends in (beside.discard, lambda _: beside.elapse(900_000)):
        assert [beside.stage(one, 0), beside.stage(one, 1), beside.stage(one, 1)] == [["staged"]] * 3
        assert beside.stage(Batch("two"), 0) == (["crowded", whose] if more < 0 else ["staged"])
        assert beside.stage(Batch("six", database="other"), 0) == ["staged"]
        beside.discard(Batch("two"))
        ends(one)
        assert beside.stage(Batch("two"), 0) == ["staged"]
        beside.discard(Batch("two"))
    beside.limits = replace(beside.limits, **{f"{whose}_bytes": BIG})
    beside.stage(one, 0)
    beside.admit(one, 1)
    assert beside.stage(one, 0) == ["staged"]
    assert beside.discard(one) == "known"


def test_before_anybody_is_refused_all_that_has_gone_is_off_the_counts(beside: Beside) -> None:
    """More than a hundred results, to which no script has come since they expired."""
    beside.limits = replace(beside.limits, max_jobs=1_000, max_bytes=BIG, client_jobs=120)
    for number in range(120):
        beside.admitted(f"a{number}", care_plan="")
    for number in range(120):
        beside.complete(f"a{number}", 0)
    assert beside.admit(Batch("b"), 0) == ["used", "client"]
    beside.elapse(beside.limits.retention_ms)
    assert beside.admit(Batch("c"), 0)[0] == "admitted"


@pytest.mark.parametrize("later_ms", [0, 3_599_999, 3_600_000, 7_199_999, 7_200_000])
@pytest.mark.parametrize("key", [None, "idem:k"])
def test_what_is_purged_is_gone_and_its_record_stays_as_long_as_it_would_have(
    beside: Beside, later_ms: int, key: str | None
) -> None:
    beside.admitted("a", (1, 1), idempotency=key, data_key="wrapped")
    beside.complete("a", 0, keep=True)
    assert beside.purge("a") == "open"
    beside.complete("a", 1, keep=True)
    beside.elapse(later_ms)
    for _ in range(2):
        assert beside.purge("a") == ("gone" if later_ms == 7_200_000 else "purged")
    beside.admitted("b", idempotency=key)
    beside.purge("a")
    beside.elapse(7_200_000 - later_ms)
    beside.overdue()
    assert beside.purge("a") == "gone"


def test_items_that_are_sent_again_are_kept_once(beside: Beside) -> None:
    """By the job that has them now: whoever asks again is told of it, whichever key it comes with."""
    beside.admitted("a", (1, 1, 1))
    for n, keep in ((0, True), (1, False), (2, True)):
        beside.complete("a", n, keep=keep, counts={"failed": 1})
    assert beside.admit(Batch("b", (1, 1), retry_of="a", idempotency="idem:k"), 0, 1)[0] == "admitted"
    assert "a" not in beside.model.payloads
    assert beside.admit(Batch("c", retry_of="a", idempotency="idem:k"), 0) == ["known", "b"]
    assert beside.admit(Batch("d", retry_of="a", idempotency="idem:other"), 0) == ["known", "b"]
    for n in (0, 1):
        beside.complete("b", n, keep=True, counts={"failed": 1})
    assert beside.admit(Batch("e", retry_of="a"), 0) == ["known", "b"]
    assert beside.admit(Batch("f", retry_of="b"), 0)[0] == "admitted"
    beside.elapse(beside.limits.retention_ms)
    beside.overdue()


def test_a_batch_that_is_admitted_again_harms_nothing_that_was_kept_meanwhile(beside: Beside) -> None:
    batch = Batch("a", (1, 1))
    beside.stage(batch, 0)
    beside.admit(batch, 1)
    beside.complete("a", 0, keep=True, counts={"failed": 1})
    beside.complete("a", 1, keep=True, counts={"failed": 1})
    assert beside.admit(batch, 1) == ["admitted"]
    assert set(beside.model.payloads["a"].chunks) == {0, 1}


def test_jobs_of_several_databases_are_listed_as_one_list(beside: Beside) -> None:
    """Newest first, also where two were accepted in the same microsecond, in pages that leave none out."""
    beside.limits = replace(beside.limits, max_jobs=100, max_bytes=BIG)
    for number in range(12):
        beside.admitted(f"a{number:02}", database=("demo", "other", "third")[number * number % 3])
        beside.elapse((0, 0, 0.001)[number % 3])
    databases = ("other", "demo", "third")
    for first in range(14):
        for count in (1, 5):
            beside.listing(*databases, first=first, count=count)
    beside.complete("a03", 0)
    assert beside.listing(*databases, state="completed", among=9) == [1, "a03"]
    assert beside.listing(*databases, state="completed", among=8) == [0]
    assert beside.listing(*databases, client="bob") == [0]
    beside.elapse(beside.limits.retention_ms)
    assert beside.listing(*databases, count=50)[0] == 11


@pytest.mark.parametrize("above", [-70_000, -60_001, -60_000, -2, -1, 0, 1, 60_000, 70_000])
@pytest.mark.parametrize("measured_from", ["least", "last", "now"])
def test_a_database_is_settled_above_what_it_holds(beside: Beside, above: int, measured_from: str) -> None:
    """Jobs of several care plans, one of them final; jobs before and after; the clock was set back between."""
    if measured_from == "now":
        beside.admitted("far")
        beside.elapse(-600_000)
    for number, care_plan in enumerate(["", "5", "", ""]):
        beside.admitted(f"a{number}", care_plan=care_plan)
        beside.elapse(1_000)
    beside.admitted("elsewhere", database="other")
    beside.complete("a0", 0)
    seqs = [beside.model.jobs[job].seq for job in ("a1", "a3")]
    highest = {"least": seqs[0], "last": seqs[1], "now": beside.model.now_ms}[measured_from] + above
    assert beside.settle(highest) == "settled"
    assert beside.settle(highest + 1_000_000) == "known"
    beside.cancel("a1")
    beside.complete("a1", 0)
    beside.admitted("b")


@pytest.mark.parametrize("above", [-1, 0, 1, 59_999, 60_000, 60_001])
@pytest.mark.parametrize("later_ms", [None, -30_000, 0, 30_000])
def test_a_database_without_open_jobs_is_settled_too(beside: Beside, above: int, later_ms: int | None) -> None:
    """It had one before, or none; `above` the last place that was given, or the clock."""
    last = beside.model.now_ms
    if later_ms is not None:
        beside.admitted("a")
        beside.complete("a", 0)
        beside.elapse(later_ms)
    beside.settle(last + above)
    beside.admitted("b")
    assert beside.claim("b", 0, "w")[14] == "0"


def test_a_database_that_looks_again_moves_what_has_come_since(beside: Beside) -> None:
    """`settled` is taken out, as docs/operations/redis-away.md says."""
    beside.admitted("a")
    beside.settle(0)
    beside.model.databases["demo"].settled = None
    beside.spoil(("DEL", "settled:demo"))
    beside.admitted("b")
    beside.settle(beside.model.now_ms + 1_000_000)
    assert beside.model.jobs["a"].seq <= beside.model.now_ms < beside.model.jobs["b"].seq


def test_a_job_of_an_older_version_is_claimed_as_it_was_written(beside: Beside) -> None:
    """It told neither the moment of acceptance, which was its place, nor whether that is settled."""
    beside.admitted("a")
    job = beside.model.jobs["a"]
    job.untold, job.accepted_us, job.unsettled = ("accepted_us", "unsettled"), job.seq * 1_000, False
    beside.spoil(("HDEL", "job:a", *job.untold))
    beside.claim("a", 0, "w")


def test_what_an_older_version_left_of_a_chunk_goes_with_its_job(beside: Beside) -> None:
    beside.admitted("a", (1, 1))
    beside.complete("a", 0)
    beside.model.jobs["a"].chunks[0].lease["too_slow"] = 1
    beside.spoil(("HSET", "lease:a", "0:too_slow", 1))
    beside.complete("a", 1)


def test_a_chunk_that_has_lost_its_payload_is_gone(beside: Beside) -> None:
    beside.admitted("a", (1, 1))
    del beside.model.payloads["a"].chunks[0]
    beside.spoil(("HDEL", "payload:a", "0"))
    assert beside.claim("a", 0, "w") == ["gone"]
    assert beside.claim("a", 1, "w")[0] == "apply"


def test_what_a_dead_process_held_of_a_job_that_is_gone_is_nothing(beside: Beside) -> None:
    beside.model.holding |= {"gone:0": "w"}
    beside.spoil(("HSET", "holding", "gone:0", "w"))
    assert beside.reclaim("w") == []


def test_what_another_holds_by_now_is_not_taken_back_from_it(beside: Beside) -> None:
    beside.admitted("a")
    beside.claim("a", 0, "v")
    beside.model.holding |= {"a:0": "w"}
    beside.spoil(("HSET", "holding", "a:0", "w"))
    assert beside.reclaim("w") == []
    assert beside.claim("a", 0, "x") == ["busy", "v"]


@pytest.mark.parametrize("prober", [None, "w", "v"])
@pytest.mark.parametrize("goes", ["reclaim", "release", "release and pause", "claim again"])
def test_a_pause_ends_with_its_prober_and_with_nobody_else(beside: Beside, prober: str | None, goes: str) -> None:
    """Four chunks: one that failed, two that are held from before, one that asks."""
    beside.limits = replace(beside.limits, width=4)
    beside.admitted("a", (1, 1, 1, 1))
    for n, holder in ((1, "w"), (2, "v"), (0, "u")):
        beside.claim("a", n, holder)
    beside.release("a", 0, "u", open_circuit_ms=1_000)
    if prober:
        beside.elapse(1_000)
        beside.claim("a", 1 if prober == "w" else 2, prober)
    match goes:
        case "reclaim":
            beside.reclaim("w")
        case "claim again":
            beside.claim("a", 1, "w")
        case _:
            beside.release("a", 1, "w", to_blame=False, open_circuit_ms=0 if goes == "release" else 1)
    beside.overdue()
    beside.claim("a", 3, "t")
    beside.elapse(1)
    beside.claim("a", 3, "t")


def test_a_process_that_holds_two_chunks_is_known_for_the_last(beside: Beside) -> None:
    beside.admitted("a", (1, 1))
    beside.claim("a", 0, "w")
    beside.claim("a", 1, "w")
    beside.release("a", 0, "w", open_circuit_ms=0)
    assert beside.reclaim("w") == ["demo", "a:1"]
    assert beside.reclaim("w") == []


@pytest.mark.parametrize("operation", ["claim", "complete", "release", "cancel", "admit", "reclaim"])
@pytest.mark.parametrize("state", ["queued", "running", "waiting", "cancelling", "completed", "cancelled"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("later_ms", [0, 3_600_000, 7_200_000])
def test_every_operation_from_every_state(
    beside: Beside, operation: str, state: str, last: bool, later_ms: int
) -> None:
    """On a chunk that is leased where it can be, and is the last one or not; another job is to be placed.

    Later, the result of a final job is gone, and then the job.
    """
    batch = beside.admitted("a", (1,) if last else (1, 1))
    beside.admitted("b", (1,) * 3, care_plan="5")
    if state != "queued":
        beside.claim("a", 0, "w")
    if state == "waiting":
        beside.release("a", 0, "w", open_circuit_ms=0)
    if state in ("cancelling", "cancelled"):
        beside.cancel("a")
    if state in ("completed", "cancelled"):
        for n in range(len(batch.sizes)):
            beside.complete("a", n, counts={"cancelled" if state == "cancelled" else "created": 1})
    assert beside.model.jobs["a"].state == state
    beside.elapse(later_ms)
    match operation:
        case "claim":
            beside.claim("a", 0, "w")
        case "complete":
            beside.complete("a", 0, "w", counts={"cancelled": 1})
        case "release":
            beside.release("a", 0, "w")
        case "cancel":
            beside.cancel("a")
        case "reclaim":
            beside.reclaim("w")
        case _:
            beside.stage(batch, 0)
            beside.admit(batch)


def test_a_worker_is_there_for_a_minute(beside: Beside) -> None:
    beside.seen("one")
    for ms in (59_999, 1, -60_000, -1, 60_001, 1):
        beside.elapse(ms)
        beside.seen("other", "-12")
        beside.seen("third")
        beside.seen("one", "5" if ms > 1 else "")


@pytest.mark.parametrize(("each_us", "burst"), [(40_000, 50), (1_000_000, 1), (2_500_000, 3), (333_333.5, 1)])
def test_a_bucket_holds_a_burst_and_fills_by_and_by(beside: Beside, each_us: float, burst: int) -> None:
    assert [beside.spend("ann", each_us, burst) > 0 for _ in range(burst + 2)] == [False] * burst + [True] * 2
    assert beside.spend("bob", each_us, burst) == 0
    for us in (int(each_us) - 2, 1, 1, 1):
        beside.elapse(us / 1_000)
        beside.spend("ann", each_us, burst)
    for part in (0.999, 0.001, 1, 1.001, 2, 3.5, burst, burst + 0.5):
        beside.elapse(round(each_us * part) / 1_000)
        for _ in range(4):
            beside.spend("ann", each_us, burst)
    beside.spend("ann", each_us, max(1, burst // 2))
    beside.elapse(-3_600_000)
    assert beside.spend("ann", each_us, burst) < each_us + 1, "a clock that is set back costs one whole bucket at most"
    beside.elapse(each_us * burst / 1_000 + 70_000)
    beside.spend("ann", each_us, burst)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("name", ["", "idem:k", "idem:anew"])
def test_a_data_key_is_wrapped_anew_with_what_the_batch_is_known_by(beside: Beside, name: str, final: bool) -> None:
    batch = beside.admitted("a", idempotency="idem:k", data_key="old")
    beside.admitted("b", data_key="old")
    if final:
        beside.complete("a", 0)
    assert beside.rewrap("a", "another", "new", name, "g") == "other"
    assert beside.rewrap("never", "old", "new", name, "g") == "other"
    assert beside.rewrap("b", "old", "new") == "wrapped"
    assert beside.rewrap("a", "old", "new", name, "f" if name == "idem:k" else "g") == "wrapped"
    again = replace(batch, job="c", idempotency=name or "idem:k", fingerprint="g" if name == "idem:anew" else "f")
    beside.stage(again, 0)
    assert beside.admit(again) == ["known", "a"]
    if not final:
        beside.complete("a", 0)
    beside.elapse(3_600_000)


def test_a_data_key_that_was_purged_is_not_wrapped_anew(beside: Beside) -> None:
    beside.admitted("a", idempotency="idem:k", data_key="old")
    beside.complete("a", 0)
    assert beside.purge("a") == "purged"
    assert beside.rewrap("a", "old", "new", "idem:anew", "g") == "other"


def test_a_batch_that_may_be_known_by_several_names_comes_with_its_last_chunks(beside: Beside) -> None:
    """The names' fingerprints stand before the chunks: the right ones are taken for each."""
    names = (("idem:second", "f2"), ("idem:plain", "f3"))
    batch = Batch("a", (1, 1, 1), idempotency="idem:first", also_known=names, data_key="wrapped")
    beside.stage(batch, 0)
    assert beside.admit(batch, 1, 2)[0] == "admitted"
    for name, fingerprint, answer in (("idem:first", "f", ["known", "a"]), ("idem:first", "f2", ["reused"])):
        later = ("idem:newest", "f9"), (name, fingerprint)
        again = Batch("b", (1, 1), idempotency="idem:newer", also_known=later)
        assert beside.admit(again, 0, 1) == answer
    assert beside.admit(replace(again, also_known=names), 0) == ["lost"]
    assert beside.admit(replace(again, also_known=names), 0, 1)[0] == "admitted"


def test_what_was_forgotten_is_not_known_again_by_a_data_key_that_is_wrapped_anew(beside: Beside) -> None:
    beside.admitted("a", idempotency="idem:k", data_key="old")
    beside.complete("a", 0)
    beside.elapse(3_600_000)
    assert beside.rewrap("a", "old", "new", "idem:anew", "g") == "wrapped"
