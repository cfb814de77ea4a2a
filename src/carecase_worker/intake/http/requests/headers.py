"""Headers of several routes, as published."""

from typing import Annotated

from fastapi import Header

IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, description="The same key gives the same job"),
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        min_length=1,
        max_length=8000,
        description="The id of the last event that was received: the stream resumes after it",
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description="RFC 7240: respond-async, or wait=N, delay the response by at most N seconds;"
        " handling=strict, apply all items or none",
    ),
]
