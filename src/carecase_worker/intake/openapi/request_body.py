"""The published description of a batch's body, in each of its media types."""

import json
from typing import Any

from carecase_worker.intake.openapi.file_descriptions import FILES
from carecase_worker.intake.openapi.schemas import ref

_CASE = {"case_Key": 37, "carePlan_Key": 5, "do_Not_Contact": False, "case_Status": "OPEN"}
_CASES = {"schema": {"type": "array", "minItems": 1, "items": ref("CareCase")}, "example": [_CASE]}
_LINES = {"schema": {"type": "string", "description": "One CareCase a line"}, "example": json.dumps(_CASE)}
BATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": _CASES,
            "text/json": _CASES,
            "application/*+json": _CASES,
            "application/x-ndjson": _LINES,
            **FILES,
        },
    }
}
"""Content of a PUT."""
