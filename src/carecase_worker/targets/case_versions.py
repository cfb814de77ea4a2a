"""Versions of cases: numbers in the order of acceptance.

A case holds the version that was written to it, and an older one never replaces it. A version is one integer: the place
of the batch in its database's order of acceptance (its sequence number, at least the moment of acceptance in ms), then
the place of the item in its batch in the lowest `PLACE_BITS` bits. A batch has at most 1,000,000 items, so the places
fit, and 43 bits of sequence number, which will do until the year 2248, make it 63: a BIGINT.

`store/lua/admit.lua` gives out the sequence numbers; `store/lua/settle.lua` moves them above what a database holds.
"""

PLACE_BITS = 20
"""Bits of a version that have the item's place in its batch."""


HIGHEST_SEQ = (1 << 63 - PLACE_BITS) - 1
"""The last place in the order of acceptance. A dry run has it, so that it is newer than all that is held."""


def version_of(seq: int, place: int) -> int:
    """Return the version of the item at a place of the batch with a sequence number."""
    return seq << PLACE_BITS | place


def versions_from(first_version: int, count: int) -> range:
    """Return the versions of so many items in a row: a chunk's, from that of its first item on."""
    return range(first_version, first_version + count)


def seq_of(version: int) -> int:
    """Return the sequence number of the batch that a version is of; 0 if the version is 0, of no batch."""
    return version >> PLACE_BITS
