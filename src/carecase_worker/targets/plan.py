"""Write plans of chunks, made before the database is accessed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

import msgspec

from carecase_worker.batches.line_numbers import LineRuns
from carecase_worker.cases.care_case import KEY
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.cases.validation import Row, Rules, ValidCases
from carecase_worker.targets.case_versions import versions_from
from carecase_worker.targets.tables import ENTRY_VERSION, VERSION


@dataclass(frozen=True, slots=True)
class Entry:
    """One valid case to write, and its index in the chunk. The row includes its versions."""

    place: int
    row: Row

    def moved(self, by: int) -> "Entry":
        """Return the entry with its index in a group, where `by` items precede its chunk."""
        return Entry(self.place + by, self.row)


def key_of(entry: Entry) -> int:
    """Return the key of an entry's case."""
    return int(entry.row[KEY])


@dataclass(frozen=True, slots=True)
class Defaults:
    """Defaults for cases without their own version or audit fields; versions count up from `first_version`."""

    first_version: int
    rules: Rules


WAVES = 4
"""The most waves of a plan. From the last one on, cases of one key are written in turn, without a wave for each."""


class Wave(Protocol):
    """Cases that are written together: with distinct keys, unless they are written in turn."""

    @property
    def in_turn(self) -> bool:
        """True if a key comes more than once: its cases are then adjacent, and written one after the other."""
        ...

    @property
    def keys(self) -> Sequence[int]:
        """Each case's key."""
        ...

    @property
    def places(self) -> Sequence[int]:
        """Each case's index in the chunk."""
        ...

    @property
    def versions(self) -> Sequence[int]:
        """Each case's version."""
        ...

    @property
    def defaults(self) -> Defaults:
        """The defaults for fields that `text` leaves out."""
        ...

    def entries(self) -> Sequence[Entry]:
        """Return each case as an entry with all fields."""
        ...

    def text(self) -> bytes:
        """Return the cases as a JSON array, in order; `defaults` has the fields that a case lacks."""
        ...


@dataclass(frozen=True, slots=True)
class WaveOfRows:
    """Cases that were validated one by one."""

    rows: Sequence[Entry]
    defaults: Defaults

    @property
    def in_turn(self) -> bool:
        """True if a key comes more than once."""
        return any(key_of(one) == key_of(other) for one, other in pairwise(self.rows))

    @property
    def keys(self) -> list[int]:
        """Each case's key."""
        return [key_of(entry) for entry in self.rows]

    @property
    def places(self) -> list[int]:
        """Each case's index in the chunk."""
        return [entry.place for entry in self.rows]

    @property
    def versions(self) -> list[int]:
        """Each case's version."""
        return [entry.row[VERSION] for entry in self.rows]

    def entries(self) -> Sequence[Entry]:
        """Return each case as an entry with all fields."""
        return self.rows

    def text(self) -> bytes:
        """Return the cases as a JSON array, with all fields."""
        return msgspec.json.encode([entry.row for entry in self.rows])


@dataclass(frozen=True, slots=True)
class WaveOfAll:
    """A whole chunk of valid cases: its JSON is passed on unchanged, without touching single cases."""

    valid: ValidCases
    defaults: Defaults

    @property
    def in_turn(self) -> bool:
        """False: no key comes more than once."""
        return False

    @property
    def keys(self) -> Sequence[int]:
        """Each case's key."""
        return self.valid.keys

    @property
    def places(self) -> Sequence[int]:
        """Each case's index in the chunk."""
        return range(len(self.valid.keys))

    @property
    def versions(self) -> Sequence[int]:
        """Each case's version."""
        return versions_from(self.defaults.first_version, len(self.valid.keys))

    def entries(self) -> Sequence[Entry]:
        """Return each case as an entry with all fields, in key order."""
        rows = self.valid.rows(self.defaults.rules)
        for row, version in zip(rows, self.versions, strict=True):
            row[VERSION] = row[ENTRY_VERSION] = version
        return sorted((Entry(place, row) for place, row in enumerate(rows)), key=key_of)

    def text(self) -> bytes:
        """Return the cases as a JSON array, without versions and without audit fields that were not given."""
        return self.valid.text


@dataclass(frozen=True, slots=True)
class WaveOfChunks:
    """Whole chunks of valid cases with distinct keys: passed on unchanged, each chunk with its own defaults."""

    chunks: Sequence[WaveOfAll]

    @property
    def in_turn(self) -> bool:
        """False: no key comes more than once."""
        return False

    @property
    def keys(self) -> Sequence[int]:
        """Each case's key."""
        return [key for chunk in self.chunks for key in chunk.keys]

    @property
    def places(self) -> Sequence[int]:
        """Each case's index, after all cases of the preceding chunks."""
        return range(sum(len(chunk.keys) for chunk in self.chunks))

    @property
    def versions(self) -> Sequence[int]:
        """Each case's version."""
        return [version for chunk in self.chunks for version in chunk.versions]

    @property
    def defaults(self) -> Defaults:
        """The defaults for fields that the first chunk's text leaves out."""
        return self.chunks[0].defaults

    @property
    def firsts(self) -> Sequence[int]:
        """The index of each chunk's first case."""
        return list(accumulate((len(chunk.keys) for chunk in self.chunks[:-1]), initial=0))

    def entries(self) -> Sequence[Entry]:
        """Return each case as an entry with all fields, in key order."""
        entries = [
            entry.moved(first)
            for first, chunk in zip(self.firsts, self.chunks, strict=True)
            for entry in chunk.entries()
        ]
        return sorted(entries, key=key_of)

    def text(self) -> bytes:
        """Return the cases as a JSON array, as `WaveOfAll.text` does."""
        return b"[%b]" % b",".join(chunk.text()[1:-1] for chunk in self.chunks)


def in_waves(entries: Sequence[Entry], most: int = WAVES) -> list[list[Entry]]:
    """Split entries into waves, in key order; entries of one key keep the order that they have.

    A key comes once in a wave. If it comes more often than there may be waves, the last one has all the rest.
    """
    ordered: list[list[Entry]] = []
    times: dict[int, int] = {}
    for entry in entries:
        wave = times.get(key_of(entry), 0)
        times[key_of(entry)] = min(wave + 1, most - 1)
        if wave == len(ordered):
            ordered.append([])
        ordered[wave].append(entry)
    for one in ordered:
        one.sort(key=key_of)
    return ordered


def case_by_case(waves: Sequence[Wave], in_turn: bool = True) -> list[WaveOfRows]:
    """Return the same waves with each case as a row: a database may accept rows although it refused the JSON as sent.

    Without `in_turn`, each wave that is written in turn is split into as many waves of distinct keys as it takes.
    """
    written_out = [(wave, wave.entries()) for wave in waves]
    return [
        WaveOfRows(rows, wave.defaults)
        for wave, entries in written_out
        for rows in ([entries] if in_turn or not wave.in_turn else in_waves(entries, len(entries)))
    ]


@dataclass(frozen=True, slots=True)
class WritePlan:
    """The plan of a chunk: the outcomes that are certain, and the cases to write.

    `keys` has each item's case key, or None without a usable one. `decided` has the outcome of each item that needs no
    database, None for the others, which are in `waves`, written one after the other. With `all_or_nothing`, no case is
    changed if one item fails. `attempts` is the number of earlier attempts at the chunk. `lines` are those of the
    chunk. `given` has, for a dry run only, the audit fields of an update that each item sets itself.
    """

    keys: Sequence[int | None]
    decided: Sequence[Outcome | None]
    waves: Sequence[Wave]
    guard_care_plan: bool
    all_or_nothing: bool = False
    attempts: int = 0
    lines: LineRuns = ()
    given: Sequence[Collection[str]] = ()

    @property
    def slowly(self) -> bool:
        """True for every second attempt, which searches for cases that are too slow."""
        return self.attempts % 2 == 1
