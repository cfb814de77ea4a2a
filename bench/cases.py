"""The same synthetic cases for all, made before anything is timed."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from carecase_worker.cases.validation import Row, Rules, validate
from carecase_worker.cli.sending.sample import cases
from carecase_worker.clock import SeededRandom
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION

CHUNK = 1000
RULES = Rules(care_plan=None, user="bench", moment=datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Sum:
    """What a table must hold: how many cases, and the sum of their priorities."""

    cases: int
    priorities: int


@dataclass
class CaseFiles:
    """Files of cases, each made once: a JSON array, as it goes into a PUT."""

    place: Path
    sums: dict[Path, Sum] = field(default_factory=dict)

    def file(self, count: int, seed: int, first: int = 1) -> Path:
        """A file of cases with `count` keys from `first` on; another seed gives the same keys other values."""
        path = self.place / f"{count}-from-{first}-seed-{seed}.json"
        if path not in self.sums:
            priorities = 0
            with path.open("wb") as file:
                for number, case in enumerate(cases(count, SeededRandom(seed))):
                    case["case_Key"] += first - 1
                    priorities += case["case_Priority"]
                    file.write(b"," if number else b"[")
                    file.write(msgspec.json.encode(case))
                file.write(b"]")
            self.sums[path] = Sum(count, priorities)
        return path


def chunks_of_rows(path: Path, version: int = 1, entry_version: int = 1) -> list[list[Row]]:
    """The cases of a file as rows of `care_case`, by the chunk."""
    items = msgspec.json.decode(path.read_bytes(), type=list[msgspec.Raw])
    return [
        rows_of(msgspec.json.encode(items[start : start + CHUNK]), version, entry_version)
        for start in range(0, len(items), CHUNK)
    ]


def rows_of(items: bytes, version: int = 1, entry_version: int = 1) -> list[Row]:
    """Cases, a JSON array, validated as this system does, as rows of `care_case`."""
    rows: list[Row] = []
    for row in validate(items, RULES):
        assert isinstance(row, dict), "the samples are valid"
        rows.append({**row, VERSION: version, ENTRY_VERSION: entry_version})
    return rows


def chunks_of_texts(path: Path, version: int = 1, entry_version: int = 1) -> list[str]:
    """The cases of a file as JSON with the columns' names, by the chunk."""
    columns = [(column.key, column.name) for column in CARE_CASE.c]
    return [
        msgspec.json.encode([{name: row[key] for key, name in columns} for row in rows]).decode()
        for rows in chunks_of_rows(path, version, entry_version)
    ]


def plain_cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a file as a program has them that has read the JSON."""
    return list(json.loads(path.read_bytes()))
