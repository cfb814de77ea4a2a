"""Headers that several routes take, as they are published."""

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
        description="The id of the last event that was received: the stream goes on after it",
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description="RFC 7240: respond-async, or wait=N, hold the answer for at most N seconds;"
        " handling=strict, apply all items or none",
    ),
]
