"""Callbacks of a run: a receiver that fails now and then, and what it must have got once nothing is broken any more."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from tests.receiver import SECRET, Received, Receiver, receiving

from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.outbox import Outbox
from carecase_worker.store.redis.client import StoreClient

VARIABLES = {"CARECASE_WEBHOOKS_CHAOS_SECRETS": SECRET}
LONGEST_S = 120
_FINAL = ("job.completed", "job.cancelled")


class _Now(list[tuple[int, dict[str, str]]]):
    """Answers of which one in five is a failure."""

    def __init__(self, seed: int) -> None:
        super().__init__([(204, {})])
        self._dice = Random(seed)

    def pop(self, _: object = 0) -> tuple[int, dict[str, str]]:
        return (500, {}) if self._dice.random() < 0.2 else (204, {})


@dataclass(frozen=True)
class Callbacks:
    """The receiver of a run."""

    receiver: Receiver

    @property
    def config(self) -> str:
        return (
            f'[webhooks.chaos]\nclient = "demo"\nurl = "{self.receiver.url}"\n'
            '[delivery]\nprivate_networks = ["127.0.0.0/8"]\n'
        )

    def faults(self, redis_url: str, jobs: Sequence[str]) -> list[str]:
        """What is wrong with the callbacks for some final jobs, once all that wait have been delivered."""
        client = StoreClient(RedisSettings.model_validate({"url": redis_url}))
        outbox = Outbox(client)
        end = time.monotonic() + LONGEST_S
        while time.monotonic() < end and (outbox.state("chaos").waiting or not self._told(jobs)):
            outbox.replay("chaos", timedelta(days=1))  # so that nothing waits for hours
            time.sleep(1)  # the receiver's answers are not ours to await
        client.close()
        return faults_of(self.receiver.received, jobs)

    def _told(self, jobs: Sequence[str]) -> bool:
        reported = {one.content["data"]["jobId"] for one in self.receiver.received if one.content["type"] in _FINAL}
        return reported >= set(jobs)


@contextmanager
def called_back(seed: int) -> Iterator[Callbacks]:
    with receiving() as receiver:
        receiver.answers = _Now(seed)
        yield Callbacks(receiver)


def faults_of(received: Sequence[Received], jobs: Sequence[str]) -> list[str]:
    """Return what is wrong: a final job without an event, events of a job out of order, an id with two contents."""
    faults, contents = [], dict[str, object]()
    taken: dict[str, list[int]] = {job_id: [] for job_id in jobs}
    for one in received:
        if contents.setdefault(one.webhook_id, one.content) != one.content:
            faults.append(f"webhook-id {one.webhook_id} came with two contents")
        job_id, _, number = one.webhook_id.rpartition(".")
        if one.status == 204 and int(number) not in taken.setdefault(job_id, []):
            taken[job_id].append(int(number))
    final = {one.webhook_id for one in received if one.status == 204 and one.content["type"] in _FINAL}
    for job_id, numbers in taken.items():
        if numbers != sorted(numbers):
            faults.append(f"events of {job_id} came as {numbers}")
        if numbers and f"{job_id}.{max(numbers)}" not in final:
            faults.append(f"the last event of {job_id} is not its end")
        if not numbers:
            faults.append(f"nobody was called for {job_id}")
    return faults
