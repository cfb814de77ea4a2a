"""Verification of an audit log, line by line: it finds records that were changed, removed or inserted. No I/O."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from carecase_worker.audit.records import BEGINNING, Head, Record, record_of

_MOST_FAULTS = 100


@dataclass(slots=True)
class Verification:
    """A check of a chain against its digests; `noted` are earlier ends of the chain, stored elsewhere.

    Faults are signs of tampering; notes are irregularities that a crash or the removal of old files also explains.
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
        """Add the faults and notes that can only be found at the end of the log."""
        self._settle(None)
        for head in self.noted:
            if head not in self._found:
                self._fault(
                    f"record {head.number} is missing or lacks the hash that was noted: truncated, or rewritten"
                )
        if self._unkeyed_to and self._unkeyed_to == self.last.number:
            self._fault(
                "no record has a digest by one of audit.keys: anyone who can write the files could have forged them"
            )
        elif self._unkeyed_to:
            self.notes.append(
                f"digests have no key up to record {self._unkeyed_to}: audit.keys was set later, or was lost"
            )
        if self.first.number > 1:
            self.notes.append(f"it begins with record {self.first.number}; the earlier records are missing")

    def _settle(self, record: Record | None) -> None:
        """Classify the previous line, if it was not a record, by the record that follows it."""
        if self._fragment is None:
            return
        (place, fragment), self._fragment = self._fragment, None
        members = record.members if record else {}
        is_recorded = members.get("event") == "mended" and members.get("bytes") == len(fragment)
        if is_recorded and members.get("sha256") == hashlib.sha256(fragment).hexdigest():
            self.notes.append(f"{place} was truncated by a crash, as the next record says")
        else:
            self._fault(f"{place} is not a record, or was truncated and is the last line")

    def _check_digest(self, record: Record) -> None:
        number, key_id = record.head.number, record.members.get("key")
        secret = None if key_id is None else self.keys.get(str(key_id))
        if key_id is not None and secret is None:
            self._fault(f"record {number} has a digest by a key that is not in audit.keys")
            return
        if record.digest(secret) != record.head.hash:
            self._fault(f"record {number} was modified")
        if secret is not None:
            self._has_keyed = True
        elif self._has_keyed:
            self._fault(f"record {number} has a digest without a key, although earlier records have one by audit.keys")
        elif self.keys:
            self._unkeyed_to = number

    def _check_order(self, record: Record) -> None:
        number, expected = record.head.number, self.last.number + 1
        if not self.records:
            self.first = record.head
            if number == 1 and record.previous != BEGINNING.hash:
                self._fault("record 1 does not begin a chain: it was inserted or modified")
        elif number > expected:
            missing = f"records {expected} to {number - 1} are" if number - 1 > expected else f"record {expected} is"
            self._fault(f"{missing} missing")
        elif number < expected:
            self._fault(f"record {number} comes after record {self.last.number}: it was inserted or moved")
        elif record.previous != self.last.hash:
            self._fault(f"record {number} does not follow from record {self.last.number}: one was modified or inserted")

    def _fault(self, text: str) -> None:
        self.fault_count += 1
        if self.fault_count <= _MOST_FAULTS:
            self.faults.append(text)
