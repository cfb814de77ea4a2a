"""Progress on a terminal: a bar with the state of a job, its items, and those that failed."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.acceptance.system import eventually
from tests.peers import JOB, answering, job_reply
from tests.terminals import in_a_terminal

RUNNING = replace(job_reply(state="running", total=5000, created=1190, failed=10), silence_s=0.05)
DONE = job_reply(total=5000, created=4900, failed=100)


def test_a_job_that_is_watched_is_shown_as_it_goes_on(tmp_path: Path) -> None:
    with (
        answering(*[RUNNING] * 1000) as peer,
        in_a_terminal(tmp_path, "status", JOB, "--watch", "--url", peer.url) as terminal,
    ):
        for part in ("running", "1200/5000", "cases/s", "10 failed"):
            eventually(partial(terminal.shows, part), 60, what=f"it shows {part}")
        peer.replies[:] = [DONE]
        for part in ("completed", "5000/5000", "100 failed", f"job {JOB} completed: 5,000 of 5,000"):
            eventually(partial(terminal.shows, part), 60, what=f"it shows {part}")
        assert terminal.process.wait(60) == 1
        assert "None" not in terminal.text
