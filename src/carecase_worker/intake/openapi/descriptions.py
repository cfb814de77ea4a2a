"""Texts of the published description: what a caller needs to know of the service, of its tags and of each operation."""

from typing import Any

INFO: dict[str, Any] = {
    "title": "CareCase batch ingestion",
    "version": "v1",
    "description": """\
Create or update many CareCases at once without waiting.

1. `PUT` a batch, with your API key, your bearer token and the header `vbasoftware-database`. The answer is `202`
   with the job's id as soon as the batch can no longer be lost.
2. Poll the job (`GET /jobs/{jobId}`) as often as `Retry-After` says, or with `Prefer: wait=30` to wait until it is
   final (long poll).
3. Once its state is `completed` or `cancelled`, get a status for each item (`GET /jobs/{jobId}/result`).

Each case is applied exactly once, and batches take effect in the order in which they were accepted. Every answer is
the envelope `{data, error, debug}`; `error` holds the members of RFC 9457. Quote `debug.activityID` when you ask
for help. A client may send 25 requests a second, in bursts of 50, unless configured otherwise; beyond that it gets
429.
""",
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "contact": {"name": "The operator of this service"},
    "openapi_tags": [
        {"name": "CareCases", "description": "Send batches of cases."},
        {
            "name": "Jobs",
            "description": "Follow a batch, read the outcomes of its items, cancel it, or retry items that failed.",
        },
        {
            "name": "Health",
            "description": "For operators: no credentials are needed, and nothing about any batch is shown.",
        },
    ],
}
"""Arguments of the application."""

_BATCH = """\
Send an array of CareCases as JSON, or one a line as NDJSON (`application/x-ndjson`), compressed by `gzip` or `zstd`
if you like. A file of rows is taken as well: `text/csv` or `text/tab-separated-values` with a header row of field
names, or with a `mapping` of yours; its result has the `line` of each item.

A case that does not exist is created; one that exists is replaced as a whole: a field that is left out
becomes null, except for the audit fields (`entry_Date`, `entry_User`, `update_Date`, `update_User`).

The answer is 202 with the job once the batch is safely stored. Nothing is applied if the request as a whole is
refused (400, 413, 415, 422, 429, 503). If a single item is wrong, its own status in the result says why; the other
items are applied.

- `Idempotency-Key`: makes it safe to repeat a request that got no response: the same key and body give the same job.
- `Prefer: wait=N`: wait for up to N seconds; the response is the final 207 if the job is final by then.
- `Prefer: handling=strict`: apply all items or none.
- `mapping=NAME`: the mapping that turns the rows of a file into cases; `GET /mappings` lists yours.
- `Accept: text/csv`: get the result as CSV, if the response is 207.
- `validateOnly=true`: check each item against the rules; store and apply nothing.
- `dryRun=true`: make a job that is applied and rolled back. Its result has the outcome that each item would have,
  and the fields that would change. It waits for no other batch, and none waits for it.
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
    "ListMappings": """\
The mappings that the calling client may name as `mapping`, its own ones and those that are shipped: the media type that
their files are sent as, and what one has to know to cut such a file into parts that are files of the mapping.
""",
    "ListJobs": """\
The jobs of the calling client, newest first, a page at a time; the header `x-pagination` has their number.
With `state` or `database` only the newest 5,000 jobs are searched. A job that has expired is not listed.
""",
    "GetJob": """\
The job's state and counts. While it is not final, `Retry-After` says when it makes sense to ask again; with
`Prefer: wait=N` the response comes once the job is final or N seconds have passed. `If-None-Match` with the last
`ETag` gives 304 if nothing has changed. A job of another client gives 404, like one that never existed.
""",
    "GetJobResult": """\
A status for each item, in the order of the batch: 201 created, 200 updated or superseded by a batch accepted later,
409, 422, 424, 500 or 503 with the reason. Before the job is final the answer is 202 with the job. Without `page` it
is the whole document, streamed; with `page` or `outcome` each item also has its `index` in the batch, from 0.
With `Accept: text/csv` it has a row for each item.

Of a dry run: 201 `Would be created`, 200 `Would be updated` with the names of the fields in `changes`, 200 `Unchanged`,
or the fault.

With `partial=true` a job that is not final gives the outcomes committed so far, with each item's `index`, and
`Retry-After` until it is final: chunks commit in any order, so an item may be on a later page the next time.

Items with 500, 503 or that were cancelled can be sent again with `POST /jobs/{jobId}/retry`.
""",
    "ListJobEvents": """\
Server-sent events of all jobs of the calling client, from now on: `progress` when a job has changed, four times a
second at most, and `final` when it is final, each with the job document. `Last-Event-ID` resumes after an event that
was received: no end of a job is lost; one may come twice. `gap` says that more jobs may have become final than were
examined. `heartbeat` comes when nothing else does. `retry` says how long to wait before reconnecting.
""",
    "GetJobEvents": """\
Server-sent events of one job: `progress` with the job document, four times a second at most; `outcomes` for each
chunk, in the order in which chunks are committed, as runs of neighbours with the same outcome
(`{"runs":[{"index":0,"count":1000,"status":201,"body":"Created"}]}`, `index` is the place in the batch, from 0); and
`final`, after which the stream ends. With `Last-Event-ID` only outcomes not received before are sent; after the last
event the response is 204. `outcomes=false` leaves out the outcomes. `heartbeat` comes when nothing else does.
""",
    "CancelJob": """\
Cancel the items that have not been applied: they get 409 `Cancelled`; items that have been applied stay. The state
of the job becomes `cancelling`, then `cancelled`. A job that is already final gives 409.

With `purge=true`, a final job's payload and result are removed before its retention is over: 204, and from then on the
job has expired (410). A job that is not final gives 409.
""",
    "RetryJob": """\
Make a new job of the items that failed for a reason other than their content (500, 503, cancelled), without sending
them again. They count as accepted now. A job has one retry: a repeated call returns the same new job, with whichever
`Idempotency-Key`. To retry items that fail again, retry the new job. 409 if no item can be retried.
""",
    "Livez": """\
200 as long as this process responds. For a liveness probe: restart the process if it does not.
""",
    "Readyz": """\
200 if batches are accepted and applied: Redis responds, and a worker reported within ten seconds. For a readiness
probe; `checks` says what is wrong and what to do.
""",
    "Metrics": """\
Requests, open work, outcomes and workers, for Prometheus.
""",
}
"""Text of each operation, by its operationId."""
