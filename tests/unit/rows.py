"""Files of rows in tests: what they become, by a mapping, and in pieces of any size."""

import json
from typing import Any

import pytest
from tests.builders import items_of

from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping, mapping_of
from carecase_worker.files.splitting import RowSplitter
from carecase_worker.settings.sections.files import FileSettings

HEADER = b"case_Key,carePlan_Key,do_Not_Contact,case_ID\n"
ROW = {"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": False}


def mapped(**settings: Any) -> FileMapping:
    return mapping_of(FileSettings.model_validate(settings))


def cases(text: bytes, mapping: FileMapping = NAMES_OF_FIELDS, piece_bytes: int = 1 << 20) -> list[dict[str, Any]]:
    return [json.loads(bytes(item)) for item in items_of(text, RowSplitter(mapping), piece_bytes)]


def lines(text: bytes, mapping: FileMapping = NAMES_OF_FIELDS, piece_bytes: int = 1 << 20) -> list[int]:
    splitter = RowSplitter(mapping)
    fed = [splitter.feed(text[at : at + piece_bytes]) for at in range(0, len(text), piece_bytes)]
    return [line for items in (*fed, splitter.finish()) for line in getattr(items, "lines", ())]


def refused(text: bytes, mapping: FileMapping = NAMES_OF_FIELDS, piece_bytes: int = 1 << 20) -> str:
    with pytest.raises(BatchRefused) as raised:
        items_of(text, RowSplitter(mapping), piece_bytes)
    assert raised.value.fault is BatchFault.BAD_FILE
    return str(raised.value)


def cases_or_fault(text: bytes, piece_bytes: int) -> object:
    try:
        return cases(text, piece_bytes=piece_bytes)
    except BatchRefused as refusal:
        return refusal.fault
