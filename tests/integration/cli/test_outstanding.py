"""submit that ends without an answer to a batch: it may have been accepted, and must not become a second job."""

from pathlib import Path

import pytest
from tests.builders import a_batch, a_case
from tests.integration.cli.commands import Carecase, piped
from tests.peers import Reply, accepted, answering, problem

BATCH = a_batch(*(a_case(n) for n in range(3)))
OUTSTANDING = "A response was outstanding: carecase jobs shows if the last batch was accepted."
AGAIN = "To send the same again, but make no second job of it, add --idempotency-key {}"


@pytest.mark.parametrize("given", [None, "k"])
@pytest.mark.parametrize("replies", [[], [problem(503)] * 9], ids=["no answer", "503"])
def test_what_may_have_been_accepted_is_said_and_how_to_send_it_again(
    carecase: Carecase, tmp_path: Path, replies: list[Reply], given: str | None
) -> None:
    """With another key it would be a second job, which overwrites what others wrote in between."""
    (tmp_path / "batch").write_bytes(BATCH)
    key = () if given is None else ("--idempotency-key", given)
    with answering(*replies) as peer:
        ran = carecase("submit", "batch", *key, "--timeout", "1", "--url", peer.url)
    sent = peer.received[0].headers["idempotency-key"]
    again = [AGAIN.format(sent)] if given is None else []
    assert (ran.status, sent == given) == (2, given is not None)
    said = ran.err.splitlines()
    assert said[said.index(f"It was not completed. {OUTSTANDING}") + 1 :][: len(again)] == again
    assert ran.err.count("--idempotency-key") == len(again)


@pytest.mark.parametrize("status", [400, 403, 422])
def test_what_was_refused_is_not_outstanding(carecase: Carecase, tmp_path: Path, status: int) -> None:
    (tmp_path / "batch").write_bytes(BATCH)
    with answering(problem(status)) as peer:
        ran = carecase("submit", "batch", "--url", peer.url)
    assert (ran.status, "outstanding" in ran.err, "idempotency-key" in ran.err) == (2, False, False)


def test_with_the_key_that_is_told_each_part_of_a_pipe_is_the_same_batch(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sent(replies: list[Reply], *options: str) -> tuple[list[str], str]:
        piped(monkeypatch, BATCH)
        with answering(*replies) as peer:
            ran = carecase("submit", "-", "--no-watch", "--timeout", "1", "--url", peer.url, *options)
        return list(dict.fromkeys(one.headers["idempotency-key"] for one in peer.received)), ran.err

    too_large, first = problem(413), accepted(job_id="1", total=2)
    (key, second), said = sent([too_large, first])
    assert second == f"{key}-2"
    assert AGAIN.format(key) in said
    assert sent([too_large, first, accepted(job_id="2", total=1)], "--idempotency-key", key)[0] == [key, second]
