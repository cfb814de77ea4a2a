"""Response documents: the job, and the multi-status."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from carecase_worker.batches.line_numbers import LineRuns, lines_of_runs
from carecase_worker.cases.care_case import KEY
from carecase_worker.cases.outcomes import Outcome, runs_of
from carecase_worker.store.job import Job
from carecase_worker.store.operations.throughput import Throughput

_LONGEST_RETRY_S = 60


def job_document(job: Job, root_path: str) -> dict[str, Any]:
    """Return the job document of the contract, its links under the path prefix that clients see."""
    path = job_path(job.job_id, root_path)
    return {
        "jobId": job.job_id,
        "state": job.state.value,
        "database": job.database,
        "carePlanKey": job.care_plan,
        "total": job.total,
        "processed": job.processed,
        **job.counts,
        "bodySha256": job.body_sha256 or None,
        "sequence": _sequence(job),
        **({"strict": True} if job.strict else {}),
        **_dry_run(job),
        "submittedAt": _rfc3339(job.submitted_at),
        "startedAt": _rfc3339(job.started_at),
        "finishedAt": _rfc3339(job.finished_at),
        "expiresAt": _rfc3339(job.expires_at),
        "links": {"self": path, "result": f"{path}/result"},
    }


def job_tag(job: Job) -> str:
    """Return the entity tag of the job document: it changes whenever the document does."""
    return f'"{job.state.value}-{job.processed}-{_sequence(job)}"'


def _sequence(job: Job) -> int | None:
    return None if job.unsettled or job.dry_run else job.seq


def _dry_run(job: Job) -> dict[str, Any]:
    """Return the members that only dry runs have."""
    if not job.dry_run:
        return {}
    return {"dryRun": True, **({"sawSequence": job.saw_seq} if job.state.final else {})}


def job_path(job_id: str, root_path: str) -> str:
    """Return the path of a job."""
    return f"{root_path}/jobs/{job_id}"


def retry_after(pace: Throughput) -> str:
    """Return a Retry-After in whole seconds, from 1 to 60: the open items at the measured rate."""
    if not pace.items_per_second:
        return "1"
    return str(min(max(math.ceil(pace.open_items / pace.items_per_second), 1), _LONGEST_RETRY_S))


def multi_status(job_id: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the multi-status document around its items, piece by piece."""
    before = b'{"data":['
    for piece in pieces:
        yield before + piece
        before = b","
    debug = msgspec.json.encode({"activityID": job_id})
    yield (before if before != b"," else b"") + b'],"error":null,"debug":' + debug + b"}"


def items(keys: Sequence[int | None], outcomes: Sequence[Outcome], lines: LineRuns = ()) -> bytes:
    """Encode items as JSON, with lines if they were rows; neighbours with the same outcome share one template."""
    if lines:
        return _indexed(zip(keys, lines_of_runs(lines, len(keys)), outcomes, strict=True), ',"line":%d')
    pieces: list[str] = []
    place = 0
    for outcome, length in runs_of(outcomes):
        template = _template(outcome, "")
        pieces += [template % ("null" if key is None else key) for key in keys[place : place + length]]
        place += length
    return ",".join(pieces).encode()


def indexed_items(indexed: Iterable[tuple[int, int | None, Outcome]], lines: Sequence[int] = ()) -> bytes:
    """Encode items as JSON, each with its index in the batch, and with its line if it was a row of a file."""
    if lines:
        rows = ((key, index, line, outcome) for (index, key, outcome), line in zip(indexed, lines, strict=True))
        return _indexed(rows, ',"index":%d,"line":%d')
    return _indexed(((key, index, outcome) for index, key, outcome in indexed), ',"index":%d')


def _indexed(indexed: Iterable[tuple[Any, ...]], more: str) -> bytes:
    """Encode items as JSON from tuples: key, numbers for `more`, outcome."""
    pieces: list[str] = []
    for outcome, run in groupby(indexed, key=itemgetter(-1)):
        template = _template(outcome, more)
        pieces += [template % ("null" if key is None else key, *numbers) for key, *numbers, _ in run]
    return ",".join(pieces).encode()


def outcome_runs(first: int, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return outcomes as runs of equal neighbours; `first` is the index in the batch of the first one."""
    runs, index = [], first
    for outcome, count in runs_of(outcomes):
        changes = {} if outcome.changes is None else {"changes": outcome.changes}
        runs.append({"index": index, "count": count, "status": outcome.kind.status, "body": outcome.body, **changes})
        index += count
    return runs


def _template(outcome: Outcome, more: str) -> str:
    body = json.dumps(outcome.body).replace("%", "%%")
    changes = "" if outcome.changes is None else f',"changes":{json.dumps(outcome.changes, separators=(",", ":"))}'
    return f'{{"id":[{{"key":"{KEY}","value":%s}}],"status":{outcome.kind.status},"body":{body}{changes}{more}}}'


def _rfc3339(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None
