"""Another client, which sends batches and polls them as it should, in a process of its own.

python -m tests.hostile.neighbour: reads its orders as a line of JSON, prints how long each answer took and how many
items of its batches were applied.
"""

import http.client
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.builders import a_batch, a_case
from tests.hostile.attack import BATCH, FIRST_KEY
from tests.hostile.wire import Access

_SIZES = (100, 300, 1000)
_BETWEEN_S = 0.05
"""Between two requests: it keeps within the rate that a client has for long."""
_POLLS = 15
"""Of each job at least: a share of one in a hundred needs many to be seen."""
_BETWEEN_PROBES = 5
"""Polls between two looks at `/livez`."""
_PATIENCE_S = 60
_FINAL = ("completed", "cancelled")


@dataclass
class Seen:
    """Observations of the neighbour: how long polls, batches and `/livez` took, in ms, and what became of items.

    `waits_ms` is, for each poll, how long the neighbour and the intake's event loop were ready for a processor and had
    none: on a machine that others load, this is the part of a poll that is not the service's.
    """

    polls_ms: list[float] = field(default_factory=list)
    waits_ms: list[float] = field(default_factory=list)
    batches_ms: list[float] = field(default_factory=list)
    livez_ms: list[float] = field(default_factory=list)
    items: int = 0
    applied: int = 0
    wrong: dict[str, int] = field(default_factory=dict)

    @property
    def faultless(self) -> bool:
        """Tell whether every poll was answered and every item applied."""
        return not self.wrong and self.applied == self.items > 0


class _Neighbour:
    def __init__(self, access: Access, intake: int) -> None:
        self._access = access
        self._queued = (Path("/proc/self/schedstat"), Path(f"/proc/{intake}/task/{intake}/schedstat"))
        self._headers = {"x-api-key": access.api_key, "authorization": f"Bearer {access.bearer}"}
        self._connection = http.client.HTTPConnection(
            access.host, access.port, timeout=_PATIENCE_S, source_address=(access.source, 0)
        )
        self._keys = count(time.time_ns())
        self._waited_ms = 0.0
        self.seen = Seen()

    def batch(self, size: int) -> None:
        """Send a batch until it is accepted, poll it until it is final, and read its result."""
        headers = {
            "content-type": "application/json",
            "vbasoftware-database": self._access.database,
            "idempotency-key": str(next(self._keys)),
        }
        body = a_batch(*(a_case(FIRST_KEY + key) for key in range(size)))
        while (response := self._timed(self.seen.batches_ms, "PUT", BATCH, body, headers))[0] != 202:
            self._count(f"PUT {response[0]}")
            time.sleep(1)  # as a client does that is refused
        path = f"/jobs/{json.loads(response[1])['job']['jobId']}"
        self.seen.items += size
        polls = 0
        while not self._is_final(path) or polls < _POLLS:
            polls += 1
            if polls % _BETWEEN_PROBES == 0:
                self._timed(self.seen.livez_ms, "GET", "/livez")
        status, result = self._timed([], "GET", f"{path}/result")
        if status == 207:
            self.seen.applied += sum(item["status"] in (200, 201) for item in json.loads(result)["data"])

    def _is_final(self, path: str) -> bool:
        status, body = self._timed(self.seen.polls_ms, "GET", path)
        self.seen.waits_ms.append(self._waited_ms)
        if status != 200:
            self._count(f"poll {status}")
            time.sleep(1)  # as a client does that is refused
            return False
        return json.loads(body)["data"]["state"] in _FINAL

    def _queued_ms(self) -> float:
        """The time for which both were ready for a processor and had none, so far; 0 where Linux does not show it."""
        try:
            return sum(int(path.read_text().split()[1]) for path in self._queued) / 1e6
        except OSError:
            return 0.0

    def _timed(
        self,
        times: list[float],
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """The status and body of an answer, 0 if there is none; how long it took is added to the times."""
        time.sleep(_BETWEEN_S)  # the pace of the neighbour
        queued, began = self._queued_ms(), time.perf_counter()
        try:
            self._connection.request(method, path, body, {**self._headers, **(headers or {})})
            answer = self._connection.getresponse()
            response = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._count(f"{method} unanswered")
            response = 0, b""
        times.append((time.perf_counter() - began) * 1000)
        self._waited_ms = self._queued_ms() - queued
        return response

    def _count(self, what: str) -> None:
        self.seen.wrong[what] = self.seen.wrong.get(what, 0) + 1


def main() -> None:
    """Send batches for so long, and at least so many."""
    orders: dict[str, Any] = json.loads(sys.stdin.readline())
    neighbour = _Neighbour(Access(**orders["access"]), orders["intake"])
    end = time.monotonic() + orders["seconds"]
    for number in count():
        if time.monotonic() > end and number >= orders["batches"]:
            break
        neighbour.batch(_SIZES[number % len(_SIZES)])
    print(json.dumps(asdict(neighbour.seen)))


if __name__ == "__main__":
    main()
