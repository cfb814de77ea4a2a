"""Typed documents of the service: jobs, results of items, and pages of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from carecase_worker.cases.care_case import KEY

PAGE_SIZE = 1000
"""The maximum page size of the service."""

Group = Literal["created", "updated", "superseded", "failed", "cancelled", "valid"]
"""Outcomes of an item, by the job's counts; `valid` is for items that were only validated."""

_FINAL = ("completed", "cancelled")
_GROUPS: dict[tuple[int, str], Group] = {
    (201, "Created"): "created",
    (200, "Updated"): "updated",
    (200, "Superseded"): "superseded",
    (409, "Cancelled"): "cancelled",
    (200, "Valid"): "valid",
    (201, "Would be created"): "created",
    (200, "Would be updated"): "updated",
    (200, "Unchanged"): "updated",
}
_APPLIED = frozenset({(201, "Created"), (200, "Updated"), (200, "Superseded")})

_NOT_ITS_OWN = (500, 503)

_T = TypeVar("_T")

_Word = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_-]+\Z")]
"""A text for commands, headers and terminals, which needs no quotes; a document with another one is no job."""


class Job(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An accepted batch and its progress, as of the service's response.

    `state` is one of queued, running, waiting (the target database does not respond), cancelling, completed, cancelled.
    If it is strict, all its items are applied or none. A dry run is rolled back: its counts are what would happen. A
    final dry run has seen the changes of all batches up to `saw_sequence`.
    """

    job_id: _Word
    state: _Word
    database: str
    care_plan_key: int | None = None
    total: int
    processed: int
    created: int
    updated: int
    superseded: int
    failed: int
    cancelled: int
    body_sha256: str | None = None
    sequence: int | None = None
    strict: bool = False
    dry_run: bool = False
    saw_sequence: int | None = None
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    links: dict[str, str] = {}

    @property
    def final(self) -> bool:
        """Return whether the job is in a final state."""
        return self.state in _FINAL

    @property
    def applied(self) -> bool:
        """Return whether the job is final and every item of it has been applied or, in a dry run, would be."""
        return self.final and not self.failed and not self.cancelled

    def document(self) -> dict[str, Any]:
        """Return the job as a JSON object."""
        members: dict[str, Any] = msgspec.to_builtins(self)
        return members


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The result of one item: `index` is its position in the batch, from 0; `key` its case key, if that is valid.

    `line` is where its row begins in a file that the service converted. `changes` are the fields that an update would
    change, in a dry run.
    """

    index: int
    key: int | None
    status: int
    body: str
    line: int | None = None
    changes: tuple[str, ...] | None = None

    @property
    def group(self) -> Group:
        """The job's count that includes the item."""
        return _GROUPS.get((self.status, self.body), "failed")

    @property
    def applied(self) -> bool:
        """Return whether the item, or a newer version, is in the database; never after a dry run."""
        return (self.status, self.body) in _APPLIED

    @property
    def is_retryable(self) -> bool:
        """Return whether the item failed for a reason other than its content, so that a retry may succeed."""
        return self.status in _NOT_ITS_OWN or self.group == "cancelled"

    def document(self) -> dict[str, Any]:
        """Return the item as a JSON object on a page of the result."""
        identity = [{"key": KEY, "value": self.key}]
        changes = None if self.changes is None else list(self.changes)
        more = {"changes": changes, "line": self.line}
        given = {name: value for name, value in more.items() if value is not None}
        return {"index": self.index, "id": identity, "status": self.status, "body": self.body, **given}


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Some elements of a list, and the number of the next page if there is one."""

    elements: Sequence[_T]
    next: int | None = None


def id_of(job: Job | str) -> str:
    """Return the id of a job; an id is returned unchanged."""
    return job.job_id if isinstance(job, Job) else job


def place_of(item: ItemResult) -> int:
    """Return the index of an item in its batch."""
    return item.index


class _Key(msgspec.Struct):
    value: int | None = None


class _Item(msgspec.Struct):
    status: int
    body: str
    id: list[_Key]
    index: int | None = None
    line: int | None = None
    changes: tuple[str, ...] | None = None


class _Accepted(msgspec.Struct):
    job: Job


class _JobResponse(msgspec.Struct):
    data: Job


class _Jobs(msgspec.Struct):
    data: list[Job]


class _Result(msgspec.Struct):
    data: list[_Item]


class _Problem(msgspec.Struct):
    detail: str


class _Debug(msgspec.Struct):
    activityID: str | None = None


class _Refusal(msgspec.Struct):
    error: _Problem
    debug: _Debug = msgspec.field(default_factory=_Debug)


class _Pagination(msgspec.Struct, rename="pascal"):
    total_pages: int
    current_page: int


_accepted = msgspec.json.Decoder(_Accepted)
_job = msgspec.json.Decoder(_JobResponse)
_jobs = msgspec.json.Decoder(_Jobs)
_result = msgspec.json.Decoder(_Result)
_refusal = msgspec.json.Decoder(_Refusal)
_pagination = msgspec.json.Decoder(_Pagination)


def accepted_job(content: bytes) -> Job:
    """Read the job of a 202. Raises ValueError if the document is another one; so do the functions below."""
    return _accepted.decode(content).job


def job_of_status(content: bytes) -> Job:
    """Read the job of a 200."""
    return _job.decode(content).data


def page_of_jobs(content: bytes, pagination: str | None) -> Page[Job]:
    """Read the jobs of one page."""
    return Page(_jobs.decode(content).data, _next(pagination))


def page_of_items(content: bytes, pagination: str | None, wanted: Group | None, first: int = 0) -> Page[ItemResult]:
    """Read the items of one page, or of the whole document if the service sent that instead of a page.

    Items without an index are numbered from `first`.
    """
    items = [_item_result(item, place) for place, item in enumerate(_result.decode(content).data, first)]
    return Page([item for item in items if wanted is None or item.group == wanted], _next(pagination))


def _item_result(item: _Item, place: int) -> ItemResult:
    index = place if item.index is None else item.index
    return ItemResult(index, item.id[0].value, item.status, item.body, item.line, item.changes)


def detail_of(content: bytes) -> tuple[str, str | None] | None:
    """Read the detail of a problem, and the request's id in the logs; None if this is not a problem of the service."""
    try:
        refusal = _refusal.decode(content)
    except ValueError:
        return None
    return refusal.error.detail, refusal.debug.activityID


def _next(pagination: str | None) -> int | None:
    if pagination is None:
        return None
    page = _pagination.decode(pagination)
    return page.current_page + 1 if page.current_page < page.total_pages else None
