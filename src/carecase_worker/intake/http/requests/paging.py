"""Paging: page and pageSize in, x-pagination out; the slices of chunks that make up a page."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from pydantic import BeforeValidator, Field

from carecase_worker.cases.care_case import INT32_MAX

DEFAULT_PAGE_SIZE = 100
LARGEST = 1000


def plain_integer(text: str) -> str:
    """Check that a text is a JSON integer: pydantic also accepts 1_000, +1 and 1.0. Raises ValueError."""
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)", text):
        raise ValueError("must be an integer")
    return text


PageNumber = Annotated[
    int,
    Field(ge=1, le=INT32_MAX),
    BeforeValidator(plain_integer),
    Query(alias="page", description="Number of the page, from 1"),
]
PageSize = Annotated[
    int,
    Field(ge=1, le=LARGEST),
    BeforeValidator(plain_integer),
    Query(alias="pageSize", description="Size of a page"),
]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    number: int
    size: int

    @property
    def first(self) -> int:
        """The index of its first element in the list."""
        return (self.number - 1) * self.size

    def header(self, total: int) -> dict[str, str]:
        """Return the x-pagination header of this page, for `total` elements."""
        pagination = {
            "TotalCount": total,
            "TotalPages": -(-total // self.size),
            "CurrentPage": self.number,
            "PageSize": self.size,
        }
        return {"x-pagination": json.dumps(pagination, separators=(",", ":"))}


@dataclass(frozen=True, slots=True)
class ChunkSlice:
    """A slice of the selected items of a chunk: `take` of them, after the first `skip`."""

    chunk_no: int
    skip: int
    take: int


def chunk_slices(wanted: Sequence[int], first: int, stop: int) -> Iterator[ChunkSlice]:
    """Yield the slices of chunks that cover elements `first` to `stop`, exclusive; chunk n has `wanted[n]` elements."""
    start = 0
    for chunk_no, count in enumerate(wanted):
        skip, end = max(first - start, 0), min(stop - start, count)
        if skip < end:
            yield ChunkSlice(chunk_no, skip, end - skip)
        start += count
        if start >= stop:
            return
