"""Replies of `cancel` and `reclaim`, by name."""

import msgspec


class CancelReply(msgspec.Struct):
    """The reply of `cancel`: the verdict, and the chunks to notify for now."""

    verdict: str
    to_notify: list[str] = []


class Reclaimed(msgspec.Struct):
    """A chunk that was taken back, and its database."""

    database: str
    chunk: str


class ReclaimReply(msgspec.Struct):
    """The reply of `reclaim`."""

    chunks: list[Reclaimed]
