"""Texts of the published description: what a caller needs to know of the service, of its tags and of each operation."""

from typing import Any

INFO: dict[str, Any] = {
    "title": "CareCase batch ingestion",
    "version": "v1",
    "description": """\
Create or update many CareCases at once without waiting.

1. `PUT` a batch, with your API key, your bearer token and the header `vbasoftware-database`. The answer is `202`
   with the job's id as soon as the batch can no longer be lost.
2. Ask for the job (`GET /jobs/{jobId}`) as often as `Retry-After` says, or with `Prefer: wait=30` to have the
   answer held.
3. Once its state is `completed` or `cancelled`, get a status for each item (`GET /jobs/{jobId}/result`).

Each case is applied exactly once, and batches take effect in the order in which they were accepted. Every answer is
the envelope `{data, error, debug}`; `error` holds the members of RFC 9457, and `debug.activityID` is what to name
when asking for help. A client may send 25 requests a second, 50 at once, unless configured otherwise; beyond that
it gets 429.
""",
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "contact": {"name": "The operator of this service"},
    "openapi_tags": [
        {"name": "CareCases", "description": "Send batches of cases."},
        {"name": "Jobs", "description": "Follow a batch, read what became of its items, stop or repeat it."},
        {
            "name": "Health",
            "description": "For those who run the service. No credentials, and nothing about any batch.",
        },
    ],
}
"""Arguments of the application."""

_BATCH = """\
Send an array of CareCases as JSON, or one a line as NDJSON (`application/x-ndjson`), compressed by `gzip` or `zstd`
if you like. A file of rows is taken as well: `text/csv` or `text/tab-separated-values` with a header row of field
names, or by a `mapping` of yours; its result tells the `line` of each item.

A case that does not exist is created; one that exists is replaced as a whole: a field that is left out
becomes null, but for the audit fields (`entry_Date`, `entry_User`, `update_Date`, `update_User`).

The answer is 202 with the job once the batch is safely stored. Nothing is applied if the request as a whole is
refused (400, 413, 415, 422, 429, 503). What is wrong with a single item is told by that item's own status in the
result; the other items are applied.

- `Idempotency-Key`: send one, and repeat a request that got no answer without fear: the same key and body give the
  same job.
- `Prefer: wait=N`: hold the answer for up to N seconds; it is the final 207 if the job ends by then.
- `Prefer: handling=strict`: apply all items or none.
- `mapping=NAME`: the mapping by which the rows of a file become cases.
- `Accept: text/csv`: have what became of the items as CSV, where the answer is 207.
- `validateOnly=true`: say what the rules make of each item, and keep nothing.
- `dryRun=true`: make a job that is applied and rolled back. Its result says of each item what would become of it, and
  which fields would change. It waits for no other batch, and none waits for it.
"""

OPERATIONS = {
    "UpdateBatchCareCase": _BATCH
    + """
Each item's `carePlan_Key` must be the care plan of the path, else that item gets 422. A case that exists under
another care plan is not taken over: that item gets 409.
""",
    "UpdateBatchCareCaseOfAnyCarePlan": _BATCH
    + """
Each item goes under the care plan that it names; a case that exists under another one is moved.
""",
    "ListJobs": """\
The jobs of the calling client, newest first, a page at a time; the header `x-pagination` tells how many there are.
With `state` or `database` only the newest 5,000 jobs are looked at. A job that has expired is not listed.
""",
    "GetJob": """\
The job's state and counts. While it is not final, `Retry-After` says when it makes sense to ask again; with
`Prefer: wait=N` the answer is held until the job is final or N seconds are over. `If-None-Match` with the last
`ETag` gives 304 if nothing has changed. A job of another client is 404, like one that never was.
""",
    "GetJobResult": """\
A status for each item, in the order of the batch: 201 created, 200 updated or superseded by a batch accepted later,
409, 422, 424, 500 or 503 with the reason. Before the job is final the answer is 202 with the job. Without `page` it
is the whole document, streamed; with `page` or `outcome` each item also tells its `index` in the batch, from 0.
With `Accept: text/csv` it has a row for each item.

Of a dry run: 201 `Would be created`, 200 `Would be updated` with the names of the fields in `changes`, 200 `Unchanged`,
or the fault.

With `partial=true` a job that is not final gives what is committed so far, with each item's `index`, and `Retry-After`
as long as more is to come: chunks commit in any order, so an item may be on a later page the next time.

Items with 500, 503 or that were cancelled can be sent again with `POST /jobs/{jobId}/retry`.
""",
    "ListJobEvents": """\
Server-sent events of all jobs of the calling client, from now on: `progress` when one has changed, four times a second
at most, and `final` when one is over, each with the job document. `Last-Event-ID` goes on after an event that was
received: no end is lost, and one that came at the same moment may come twice. `gap` says that more jobs may have ended
than were looked at. `heartbeat` comes when nothing else does. `retry` says how long to wait before connecting anew.
""",
    "GetJobEvents": """\
Server-sent events of one job: `progress` with the job document, four times a second at most; `outcomes` for each
chunk that is committed, in the order in which they are, as runs of neighbours with the same outcome
(`{"runs":[{"index":0,"count":1000,"status":201,"body":"Created"}]}`, `index` is the place in the batch, from 0); and
`final`, after which the stream ends. With `Last-Event-ID` only the outcomes come that were not received before;
after the last event the answer is 204. `outcomes=false` leaves them out. `heartbeat` comes when nothing else does.
""",
    "CancelJob": """\
Cancel what has not been applied. What has been applied stays; every other item gets 409 `Cancelled`. The job goes
on to `cancelling` and then `cancelled`. A job that is final already gets 409.

With `purge=true`, a final job's payload and result are removed before its retention is over: 204, and from then on the
job has expired (410). A job that is not final gets 409.
""",
    "RetryJob": """\
Make a new job of the items that failed for a reason outside themselves (500, 503, cancelled), without sending them
again. They count as accepted now, and belong to the new job: asked again, with whichever `Idempotency-Key`, it is the
same job. What fails in that one is sent again by a retry of that one. 409 where no item
can be repeated.
""",
    "Livez": """\
200 as long as this process answers. For a liveness probe: restart the process if it does not.
""",
    "Readyz": """\
200 if batches are taken and applied: Redis answers, and a worker was seen within ten seconds. For a readiness
probe; `checks` tells what is missing and what to do.
""",
    "Metrics": """\
Requests, open work, outcomes and workers, for Prometheus.
""",
}
"""Text of each operation, by its operationId."""
