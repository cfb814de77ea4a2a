"""Versions of cases: numbers in the order of acceptance.

A case stores the version that wrote it, and is never replaced by an older one. A version is one integer: the place
of the batch in its database's order of acceptance (its sequence number, at least the moment of acceptance in ms), then
the index of the item in its batch in the lowest `PLACE_BITS` bits. A batch has at most 1,000,000 items, so the indices
fit; with 43 bits of sequence number, enough until the year 2248, a version has 63 bits: a BIGINT.

`store/lua/admit.lua` assigns the sequence numbers; `store/lua/settle.lua` moves them above those in a database.
"""

PLACE_BITS = 20
"""Bits of a version for the item's index in its batch."""


HIGHEST_SEQ = (1 << 63 - PLACE_BITS) - 1
"""The highest place in the order of acceptance. A dry run has it, so that it is newer than every stored case."""


def version_of(seq: int, place: int) -> int:
    """Return the version of an item, by its batch's sequence number and its index."""
    return seq << PLACE_BITS | place


def versions_from(first_version: int, count: int) -> range:
    """Return the versions of a chunk's items, from that of its first item on."""
    return range(first_version, first_version + count)


def seq_of(version: int) -> int:
    """Return the sequence number in a version; 0 for version 0, which belongs to no batch."""
    return version >> PLACE_BITS
