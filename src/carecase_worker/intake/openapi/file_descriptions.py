"""The published description of files: as bodies of batches, and as acknowledgements."""

from typing import Any

from carecase_worker.files.acknowledgement import COLUMNS, COLUMNS_OF_ROWS

_HEADER = "case_Key,carePlan_Key,do_Not_Contact,case_Status"
_OF_NAMES = "A header row of field names, or what the mapping says, then one CareCase a row (RFC 4180)"


def _text(description: str, example: str) -> dict[str, Any]:
    return {"schema": {"type": "string", "description": description}, "example": example}


FILES: dict[str, Any] = {
    "text/csv": _text(_OF_NAMES, f"{_HEADER}\r\n37,5,false,OPEN\r\n"),
    "text/tab-separated-values": _text(_OF_NAMES, f"{_HEADER}\r\n37,5,false,OPEN\r\n".replace(",", "\t")),
    "text/plain": _text("One CareCase a line of fixed width, as the mapping says", "000037005NOPEN\r\n"),
}
"""Content of a request body."""

ACKNOWLEDGEMENT: dict[str, Any] = {
    "text/csv": _text(
        f"A header row ({','.join(COLUMNS)}), then one row for each item, in order; for rows of a file it has more"
        f" columns ({','.join(COLUMNS_OF_ROWS[len(COLUMNS) :])})",
        f"{','.join(COLUMNS_OF_ROWS)}\r\n0,37,201,Created,2,created,,\r\n",
    )
}
"""Content of a 207."""

MAPPING = {
    "name": "referrals",
    "mediaType": "text/csv",
    "encoding": "windows-1252",
    "delimiter": ";",
    "hasHeader": True,
    "skippedLines": 0,
    "skippedLastLines": 1,
}
"""Example of a mapping."""
