"""Attacks by jobs: what is kept for a client, and what is read of it again and again."""

import json

from tests.builders import a_batch, a_case
from tests.hostile.attack import BATCH, FIRST_KEY, Attack, Attacker, Send, Who, by_name

_RESULT_ITEMS = 10_000
_FILTERED = "/jobs?state=cancelled&pageSize=1000"
_TINY = a_batch(a_case(FIRST_KEY))
_LARGE = a_batch(*(a_case(FIRST_KEY + key) for key in range(_RESULT_ITEMS)))
_THOUSANDS, _TIMES = a_batch(*(a_case(FIRST_KEY + key) for key in range(2000))), 5000
_ONE_CASE = a_batch(*(a_case(FIRST_KEY, case_Reason=f"{number}") for number in range(_TIMES)))
_DRY_RUN = f"{BATCH}?dryRun=true"
_TO_CANCEL = a_batch(*(a_case(FIRST_KEY + key, case_Reason="x" * 50) for key in range(20_000)))
_RETRIED = "retried"


async def tiny_jobs(attacker: Attacker) -> None:
    """Jobs of one item, each under a new key."""
    for _ in range(10):
        await attacker.batch(_TINY, attacker.key())


async def dry_runs(attacker: Attacker) -> None:
    """Batches that are compared with the database, and leave nothing there."""
    await attacker.batch(_THOUSANDS, attacker.key(), target=_DRY_RUN)
    await attacker.batch(_ONE_CASE, attacker.key(), target=_DRY_RUN)


async def one_case(attacker: Attacker) -> None:
    """One case thousands of times in a batch, each time with another value."""
    await attacker.batch(_ONE_CASE, attacker.key())


async def same_job(attacker: Attacker) -> None:
    """One job again and again, under a key as long as it may be, and keys as long as a head may be."""
    await attacker.batch(_TINY, f"idempotency-key: {'k' * 255}")
    await attacker.batch(_TINY, f"idempotency-key: {'k' * 20_000}")


async def cancelled_and_retried(attacker: Attacker) -> None:
    """A job that is cancelled, sent again under a new key, cancelled, and so on."""
    job_id = await attacker.accepted(_TO_CANCEL)
    for _ in range(5):
        await attacker.once(attacker.head("DELETE", f"/jobs/{job_id}"))
        await attacker.final(job_id)
        head = attacker.head("POST", f"/jobs/{job_id}/retry", attacker.key(), "content-length: 0")
        response = await attacker.once(head)
        if response.status == 202:
            attacker.tally.ended(_RETRIED)
            job_id = json.loads(response.body)["job"]["jobId"]


async def a_large_result(attacker: Attacker) -> None:
    """Have a result to ask for."""
    attacker.found = await attacker.accepted(_LARGE)
    await attacker.final(attacker.found)


async def many_jobs(attacker: Attacker) -> None:
    """Have jobs to list."""
    for _ in range(100):
        await attacker.accepted(_TINY)


def read(target: str, *lines: str) -> Send:
    """Ask for the same thing again and again; `{}` stands for the job that was prepared."""

    async def send(attacker: Attacker) -> None:
        await attacker.again(attacker.head("GET", target.format(attacker.found), *lines), 5)

    return send


async def held_answers(attacker: Attacker) -> None:
    """A job of one item that is long-polled until it is final, beside hundreds of the same kind."""
    await attacker.batch(_TINY, attacker.key(), "prefer: wait=60")


def _reads(name: str, target: str, *lines: str, ends: str = "207") -> Attack:
    return Attack(name, Who.CLIENT, read(target, *lines), ends, prepare=a_large_result, keeps=True)


JOBS = by_name(
    Attack("tiny jobs", Who.CLIENT, tiny_jobs, "202", keeps=True),
    Attack("one case thousands of times", Who.CLIENT, one_case, "202", keeps=True),
    Attack("dry runs", Who.CLIENT, dry_runs, "202", lanes=8, keeps=True),
    Attack("long idempotency keys", Who.CLIENT, same_job, "202 400", keeps=True),
    Attack(
        "cancelled and retried jobs",
        Who.CLIENT,
        cancelled_and_retried,
        f"202 207 {_RETRIED}",
        may_end="409",
        keeps=True,
    ),
    _reads("a large result", "/jobs/{}/result"),
    _reads("a large result in gzip", "/jobs/{}/result", "accept-encoding: gzip"),
    _reads("pages of one item, from the end", f"/jobs/{{}}/result?page={_RESULT_ITEMS}&pageSize=1"),
    _reads("a filtered result", "/jobs/{}/result?outcome=failed"),
    _reads("a result in a type that is not had", "/jobs/{}/result", "accept: text/html", ends="406"),
    Attack("filtered lists of jobs", Who.CLIENT, read(_FILTERED), "200", prepare=many_jobs, keeps=True),
    Attack("answers that are held", Who.CLIENT, held_answers, "207", lanes=100, keeps=True),
)
