"""Shapes of files as common programs write them: with a mapping each, all become the same cases."""

import json
from typing import Any

import pytest
from tests.builders import items_of

from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import mapping_of
from carecase_worker.files.splitting import RowSplitter
from carecase_worker.settings.sections.files import FileSettings

CASES = [
    {"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": False, "case_ID": "007", "case_Score": 1.5,
     "case_Start_Date": "2026-02-05T00:00:00Z"},
    {"case_Key": 2, "carePlan_Key": 5, "do_Not_Contact": True, "case_Reason": "Müller, \"A\""},
]  # fmt: skip
COLUMNS = {
    "Case": "case_Key", "ID": "case_ID", "Reason": "case_Reason", "Score": "case_Score",
    "Opened": "case_Start_Date", "DNC": "do_Not_Contact",
}  # fmt: skip
PLAN = {"carePlan_Key": 5}
REASON = '"Müller, ""A"""'

SHAPES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "Excel, CSV UTF-8": (
        "\ufeffCase,ID,Reason,Score,Opened,DNC\r\n1,007,,1.5,2/5/2026,FALSE\r\n"
        f"2,,{REASON},,,TRUE\r\n,,,,,\r\n".encode(),
        {"columns": COLUMNS, "date_formats": ["%m/%d/%Y"]},
    ),
    "Excel in German": (
        "Case;ID;Reason;Score;Opened;DNC\r\n1;007;;1,5;05.02.2026;FALSCH\r\n"
        f"2;;{REASON};;;WAHR\r\n".encode("cp1252"),
        {"columns": COLUMNS, "delimiter": ";", "encoding": "windows-1252", "decimal": ",", "date_formats": ["%d.%m.%Y"],
         "true_tokens": ["WAHR"], "false_tokens": ["FALSCH"]},
    ),
    "Excel, Unicode text": (
        "Case\tID\tReason\tScore\tOpened\tDNC\r\n1\t007\t\t1.5\t2026-02-05\tFALSE\r\n"
        f"2\t\t{REASON}\t\t\tTRUE\r\n".encode("utf-16"),
        {"columns": COLUMNS, "delimiter": "\t", "encoding": "utf-16"},
    ),
    "PostgreSQL, COPY": (
        'case,id,reason,score,opened,dnc\n1,007,,1.5,2026-02-05 00:00:00,f\n2,,"Müller, ""A""",,,t\n'.encode(),
        {"columns": COLUMNS, "true_tokens": ["t"], "false_tokens": ["f"], "date_formats": ["%Y-%m-%d %H:%M:%S"]},
    ),
    "SQL Server, sqlcmd": (
        'Case|ID|Reason|Score|Opened|DNC\r\n----|--|------|-----|------|---\r\n1|007|NULL|1.5|2026-02-05|0\r\n'
        '2|NULL|"Müller, ""A"""|NULL|NULL|1\r\n\r\n(2 rows affected)\r\n'.encode(),
        {"columns": ["case_Key", "case_ID", "case_Reason", "case_Score", "case_Start_Date", "do_Not_Contact"],
         "delimiter": "|", "null_tokens": ["NULL"], "true_tokens": ["1"], "false_tokens": ["0"],
         "skipped_lines": 2, "skipped_last_lines": 1},
    ),
    "Oracle, with a title and a total": (
        "Cases opened\nRun 27-NOV-26\n\nCASE,ID,REASON,SCORE,OPENED,DNC\n1,007,,1.5,05-FEB-26,N\n"
        f"2,,{REASON},,,Y\nTotal,2\n".encode(),
        {"columns": COLUMNS, "date_formats": ["%d-%b-%y"], "true_tokens": ["Y"], "false_tokens": ["N"],
         "skipped_lines": 2, "skipped_last_lines": 1},
    ),
    "a mainframe, with a header and a trailer record": (
        "HDR20261127\r\n000000100720260205N001.50            \r\n"
        '0000002           Y      Müller, "A" \r\nTRL0000002\r\n'.encode("iso-8859-1"),
        {"fixed": {"case_Key": "1-7", "case_ID": "8-10", "case_Start_Date": "11-18", "do_Not_Contact": "19",
                   "case_Score": "20-25", "case_Reason": "26-37"},
         "encoding": "iso-8859-1", "date_formats": ["%Y%m%d"], "true_tokens": ["Y"], "false_tokens": ["N"],
         "skipped_lines": 1, "skipped_last_lines": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
@pytest.mark.parametrize("name", SHAPES)
def test_a_mapping_reads_it(name: str, piece_bytes: int) -> None:
    text, settings = SHAPES[name]
    mapping = mapping_of(FileSettings.model_validate({**settings, "constants": PLAN}))
    assert [json.loads(bytes(item)) for item in items_of(text, RowSplitter(mapping), piece_bytes)] == CASES


PLAIN = {"Excel, CSV UTF-8", "PostgreSQL, COPY"}


@pytest.mark.parametrize("name", sorted(SHAPES.keys() - PLAIN))
def test_without_what_the_mapping_says_of_it_nothing_is_taken(name: str) -> None:
    """Every shape is another file to a mapping that knows only the names of columns."""
    mapping = mapping_of(FileSettings.model_validate({"columns": COLUMNS, "constants": PLAN}))
    with pytest.raises(BatchRefused):
        items_of(SHAPES[name][0], RowSplitter(mapping), 1 << 20)
