"""A job that an older version left, or that has lost its payload, is claimed or goes, and blocks nothing.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from tests.integration.store.beside import Beside


def test_a_job_of_an_older_version_is_claimed_as_it_was_written(beside: Beside) -> None:
    """Its record has neither the time of acceptance, which was its place, nor whether that is settled."""
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
