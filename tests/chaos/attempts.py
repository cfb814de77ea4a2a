"""Attempts by the workers' logs: no two workers may have a chunk at the same time."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

_CARRIED_OUT = ("kept", "released")
"""How the verdict of an attempt begins that had the chunk's lease."""

Attempt = tuple[datetime, datetime]
"""When an attempt began and when it ended."""


def held_twice(logs: Path) -> tuple[int, int]:
    """How many attempts began while another one at the same chunk was being carried out, and how many there were."""
    attempts: dict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for log in logs.glob("worker-*.log"):
        for chunk, attempt in _attempts(log):
            attempts[chunk].append(attempt)
    twice = sum(
        begin < before_end for one in map(sorted, attempts.values()) for (_, before_end), (begin, _) in pairwise(one)
    )
    return twice, sum(map(len, attempts.values()))


def _attempts(log: Path) -> Iterator[tuple[tuple[str, int], Attempt]]:
    for line in log.read_text(errors="replace").splitlines():
        if '"event": "chunk"' not in line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the process died while it wrote
        carried_out = record["verdict"].startswith(_CARRIED_OUT) or (record["verdict"] == "done" and record["items"])
        if carried_out:
            end = datetime.fromisoformat(record["timestamp"])
            yield (record["job_id"], record["chunk_no"]), (end - timedelta(milliseconds=record["duration_ms"]), end)
