"""Files that were sent, results of their jobs, and the items that failed as they are written again."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from carecase_worker.client.documents import ItemResult, Job
from carecase_worker.client.mending.failed_files import as_original, usual_path, write_failed
from carecase_worker.client.mending.failed_items import TO_BE_MENDED
from carecase_worker.client.mending.originals import Original, OriginalFile, original_of
from carecase_worker.client.uploads import items_in
from carecase_worker.files.mapping import FileMapping, mapping_of
from carecase_worker.settings.sections.files import FileSettings

HEADER = "case_Key,carePlan_Key,do_Not_Contact,case_ID"
ROWS = ["1,5,false,007", '2,5,maybe,"a ""b"",\nc"', "", "x,5,true,", "4,5,no,d", "5,5,true,e"]
FAULT = "do_Not_Contact: must be true or false"


def mapped(**settings: Any) -> FileMapping:
    return mapping_of(FileSettings.model_validate(settings))


def job_of(body: bytes, total: int, **members: Any) -> Job:
    counts = dict.fromkeys(("processed", "created", "updated", "superseded", "failed", "cancelled"), 0)
    made = {"job_id": "0199", "state": "completed", "database": "demo", "total": total, **counts, **members}
    return Job(body_sha256=hashlib.sha256(body).hexdigest(), **made)


def array_of(items: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def made_here(file: OriginalFile) -> Original:
    """A job whose items were made of a file by the client."""
    items = list(items_in(file))
    return original_of(file, job_of(array_of(items), len(items)))


def failed(*indices: int, status: int = 422) -> list[ItemResult]:
    return [ItemResult(index, None, status, FAULT) for index in indices]


def of_the_service(total: int, lines: Sequence[int], *indices: int) -> list[ItemResult]:
    """The results of all rows of a file of which the service made cases."""
    faults = dict.fromkeys(indices, (422, FAULT))
    return [ItemResult(index, None, *faults.get(index, (201, "Created")), lines[index]) for index in range(total)]


def items(file: OriginalFile) -> list[Any]:
    return [json.loads(item) for item in items_in(file)]


def without_notes(item: Any) -> Any:
    return {name: value for name, value in item.items() if not name.startswith("_")}


def rewritten(original: Original, results: Iterable[ItemResult], to: Path | None = None) -> list[Any]:
    """The items of the file that is written."""
    written = write_failed(original, results, to or usual_path(original.file), TO_BE_MENDED)
    return [without_notes(item) for item in items(as_original(written.path, original.file))]
