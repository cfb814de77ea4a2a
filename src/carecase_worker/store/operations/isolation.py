"""The search for a chunk's poison items, which kill their process, as it is stored from one attempt to the next."""

from typing import Self

import msgspec


class Isolation(msgspec.Struct, frozen=True, gc=False):
    """The progress of a search.

    `deaths` of the chunk's holders before it began, indices `found`, and ranges of indices that are still `suspects`,
    the next one last.
    """

    deaths: int
    found: tuple[int, ...] = ()
    suspects: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, stored: str) -> Self | None:
        """Return what is stored of a chunk; None if there was no search."""
        return msgspec.json.decode(stored, type=cls) if stored else None

    def stored(self) -> str:
        """Return the text to store."""
        return msgspec.json.encode(self).decode()
