"""A client's jobs and bytes are counted while they are kept, and no longer.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import Batch


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
def test_a_client_and_all_together_keep_exactly_as_much_as_they_may(
    beside: Beside, whose: str, what: str, more: int
) -> None:
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
    """Also what expired after a hundred results of others."""
    beside.limits = replace(beside.limits, max_jobs=1_000, max_bytes=BIG)
    for number in range(100):
        beside.admitted(f"b{number}", client="bob")
    beside.admitted("a")
    for number in range(100):
        beside.complete(f"b{number}", 0)
    beside.elapse(1)
    beside.complete("a", 0)
    beside.limits = replace(beside.limits, client_jobs=1)
    assert beside.admit(Batch("c"), 0) == ["used", "client"]
    beside.elapse(beside.limits.retention_ms)
    assert beside.admit(Batch("d"), 0)[0] == "admitted"


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


def test_a_purge_leaves_a_key_to_the_batch_that_has_it_by_now(beside: Beside) -> None:
    beside.admitted("a", idempotency="idem:k")
    beside.complete("a", 0)
    beside.elapse(beside.limits.retention_ms)
    beside.admitted("b", idempotency="idem:k")
    assert beside.purge("a") == "purged"
    assert beside.admit(Batch("c", idempotency="idem:k"), 0) == ["known", "b"]


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
