"""Verification of an audit log, line by line: it finds records that were changed, removed or inserted. No I/O."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from carecase_worker.audit.records import BEGINNING, Head, Record, record_of

_MOST_FAULTS = 100


@dataclass(slots=True)
class Verification:
    """A check of a chain against its digests; `noted` are ends of the chain that somebody wrote down elsewhere.

    Faults are signs of tampering; notes are traces that a crash, or the removal of old files, can leave as well.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict)
    noted: Iterable[Head] = ()
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fault_count: int = 0
    records: int = 0
    first: Head = BEGINNING
    last: Head = BEGINNING
    last_at: str = ""
    _unkeyed_to: int = 0
    _has_keyed: bool = False
    _fragment: tuple[str, bytes] | None = None
    _found: set[Head] = field(default_factory=set)

    def feed(self, place: str, line: bytes) -> None:
        """Check the next line; `place` names it in faults and notes."""
        record = record_of(line)
        if record is None or not line.endswith(b"\n"):
            self._settle(None)
            self._fragment = (place, line.removesuffix(b"\n"))
            return
        self._settle(record)
        self._check_digest(record)
        self._check_order(record)
        self.records += 1
        self.last, self.last_at = record.head, str(record.members.get("at"))
        self._found |= {record.head} & set(self.noted)

    def finish(self) -> None:
        """Add the faults and notes that show only at the end of the log."""
        self._settle(None)
        for head in self.noted:
            if head not in self._found:
                self._fault(f"record {head.number} is not here with the hash that was noted: cut off, or written anew")
        if self._unkeyed_to and self._unkeyed_to == self.last.number:
            self._fault(
                "no record has a digest by one of audit.keys: whoever could write the files could have made them"
            )
        elif self._unkeyed_to:
            self.notes.append(
                f"up to record {self._unkeyed_to} digests are without a key: keys came later, or were lost"
            )
        if self.first.number > 1:
            self.notes.append(f"it begins with record {self.first.number}; what was before is not here")

    def _settle(self, record: Record | None) -> None:
        """Judge the previous line, if it was not a record, by the record that follows it."""
        if self._fragment is None:
            return
        (place, fragment), self._fragment = self._fragment, None
        told = record.members if record else {}
        is_told = told.get("event") == "mended" and told.get("bytes") == len(fragment)
        if is_told and told.get("sha256") == hashlib.sha256(fragment).hexdigest():
            self.notes.append(f"{place} was broken off by a crash, as the record after it says")
        else:
            self._fault(f"{place} is not a record, or was broken off and nothing was recorded since")

    def _check_digest(self, record: Record) -> None:
        number, key_id = record.head.number, record.members.get("key")
        secret = None if key_id is None else self.keys.get(str(key_id))
        if key_id is not None and secret is None:
            self._fault(f"record {number} has a digest by a key that is not among audit.keys")
            return
        if record.digest(secret) != record.head.hash:
            self._fault(f"record {number} was changed")
        if secret is not None:
            self._has_keyed = True
        elif self._has_keyed:
            self._fault(f"record {number} has a digest without a key, behind records by audit.keys")
        elif self.keys:
            self._unkeyed_to = number

    def _check_order(self, record: Record) -> None:
        number, expected = record.head.number, self.last.number + 1
        if not self.records:
            self.first = record.head
            if number == 1 and record.previous != BEGINNING.hash:
                self._fault("record 1 does not begin a chain: it was put in, or changed")
        elif number > expected:
            missing = f"records {expected} to {number - 1} are" if number - 1 > expected else f"record {expected} is"
            self._fault(f"{missing} missing")
        elif number < expected:
            self._fault(f"record {number} stands behind record {self.last.number}: put in, or put back")
        elif record.previous != self.last.hash:
            self._fault(f"record {number} does not follow from record {self.last.number}: one was changed or put in")

    def _fault(self, text: str) -> None:
        self.fault_count += 1
        if self.fault_count <= _MOST_FAULTS:
            self.faults.append(text)
