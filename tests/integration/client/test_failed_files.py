"""A file of the items that failed: exactly those, as they are in the file that was sent, and read in the same way."""

import csv
import gzip
import hashlib
import importlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.client.test_row_files import a_workbook

from carecase_worker.client.documents import ItemResult, Job
from carecase_worker.client.mending.failed_files import as_original, key_of_resent, usual_path, write_failed
from carecase_worker.client.mending.failed_items import TO_BE_MENDED, TO_BE_RESENT
from carecase_worker.client.mending.originals import Original, OriginalFile, original_of, path_of, refuse_original
from carecase_worker.client.row_files import RowFile
from carecase_worker.client.uploads import Batches, items_in
from carecase_worker.errors import BatchUnreadable, JobNotFinal, RequestRefused
from carecase_worker.files.episodes import EpisodeMapping
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
    told = dict.fromkeys(indices, (422, FAULT))
    return [ItemResult(index, None, *told.get(index, (201, "Created")), lines[index]) for index in range(total)]


def items(file: OriginalFile) -> list[Any]:
    return [json.loads(item) for item in items_in(file)]


def without_notes(item: Any) -> Any:
    return {name: value for name, value in item.items() if not name.startswith("_")}


def rewritten(original: Original, results: Iterable[ItemResult], to: Path | None = None) -> list[Any]:
    """The items of the file that is written."""
    written = write_failed(original, results, to or usual_path(original.file), TO_BE_MENDED)
    return [without_notes(item) for item in items(as_original(written.path, original.file))]


def test_rows_that_the_service_made_cases_of_are_found_by_their_lines(tmp_path: Path) -> None:
    text = "\r\n".join([HEADER, *ROWS, ""]).replace("\nc", "\n\nc")
    file = RowFile(tmp_path / "cases.csv.gz")
    path_of(file).write_bytes(gzip.compress(text.encode()))
    original = original_of(file, job_of(text.encode(), 5))
    written = write_failed(original, of_the_service(5, [2, 3, 7, 8, 9], 1, 3), usual_path(file), TO_BE_MENDED)
    assert (written.count, written.path, written.reasons) == (2, tmp_path / "cases.failed.csv", None)
    rows = list(csv.DictReader(written.path.open(newline="")))
    assert [(row["case_Key"], row["case_ID"], row["_index"], row["_line"], row["_reason"]) for row in rows] == [
        ("2", 'a "b",\n\nc', "1", "3", FAULT),
        ("4", "d", "3", "8", FAULT),
    ]
    assert written.path.stat().st_mode & 0o777 == 0o600
    assert items(RowFile(written.path)) == [items(file)[1], items(file)[3]], "columns for notes are ignored"


def test_notes_of_an_earlier_time_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(f"{HEADER}\n" + "\n".join(ROWS))
    first = write_failed(
        original_of(RowFile(tmp_path / "cases.csv"), job_of((tmp_path / "cases.csv").read_bytes(), 5)),
        of_the_service(5, [2, 3, 6, 7, 8], 0, 1, 4),
        tmp_path / "first.csv",
        TO_BE_MENDED,
    )
    again = original_of(RowFile(first.path), job_of(first.path.read_bytes(), 3))
    second = write_failed(again, of_the_service(3, [2, 3, 5], 1), tmp_path / "second.csv", TO_BE_MENDED)
    header, _ = csv.reader(second.path.open(newline=""))
    assert header == [*HEADER.split(","), "_index", "_line", "_status", "_reason"]
    assert items(RowFile(second.path)) == [items(RowFile(tmp_path / "cases.csv"))[1]]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("settings", "text", "suffix"),
    [
        ({"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}}, "Key,DNC\n1,true\n\n2,no\n3,true", ".csv"),
        (
            {"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}, "delimiter": ";", "skipped_lines": 2},
            'Report\n"x\nKey;DNC\n1;true\n2;"no;\n;"\n3;true\n',
            ".txt",
        ),
        ({"columns": ["case_Key", "do_Not_Contact"], "skipped_last_lines": 1}, "1,true\n2,no\n3,true\nTotal,3\n", ""),
        ({"fixed": {"case_Key": "1-3", "do_Not_Contact": "4-7"}}, '1  true\n2  n"\n3  "\n', ".txt"),
        (
            {"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}, "encoding": "utf-16"},
            "Key,DNC\n1,true\n2,näö\n3,true\n",
            ".csv",
        ),
        (
            {"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}, "encoding": "cp850"},
            "Key,DNC\n1,true\n2,näö\n3,true\n",
            ".csv",
        ),
    ],
)
def test_rows_by_a_mapping_are_written_so_that_it_reads_them(
    tmp_path: Path, settings: dict[str, Any], text: str, suffix: str, ending: str
) -> None:
    mapping = mapped(constants={"carePlan_Key": 5}, **settings)
    file = RowFile(tmp_path / f"cases{suffix}", mapping)
    path_of(file).write_bytes(text.replace("\n", ending).encode(mapping.encoding))
    whole = items(file)
    assert rewritten(made_here(file), failed(1)) == [whole[1]]
    assert rewritten(made_here(file), failed(0, 2), tmp_path / f"more{suffix}") == [whole[0], whole[2]]


def test_reasons_are_in_a_file_beside_where_rows_have_no_place_for_them(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "cases.txt", mapped(columns=["case_Key", "carePlan_Key", "do_Not_Contact"]))
    path_of(file).write_text("1,5,true\n\n2,5,no\n3,5,no\n")
    written = write_failed(made_here(file), failed(1, 2), usual_path(file), TO_BE_MENDED)
    assert written.path.read_text() == "2,5,no\n3,5,no\n"
    assert written.reasons == tmp_path / "cases.failed.txt.reasons.csv"
    assert [list(row.values()) for row in csv.DictReader(written.reasons.open(newline=""))] == [
        ["1", "1", "3", "", "422", FAULT],
        ["2", "2", "4", "", "422", FAULT],
    ]


def test_of_a_mapping_that_only_the_service_has_the_bytes_are_left_as_they_are(tmp_path: Path) -> None:
    body = 'Bericht\r\nNr;Kürzel\r\n1;ä\r\n2;"ö\r\n"\r\n3;ß\r\nSumme;3\r\n'.encode("cp850")
    file = RowFile(tmp_path / "cases.csv", "referrals")
    path_of(file).write_bytes(body)
    written = write_failed(
        original_of(file, job_of(body, 3)), of_the_service(3, [3, 4, 6], 1), usual_path(file), TO_BE_MENDED
    )
    assert written.path.read_bytes() == 'Bericht\r\nNr;Kürzel\r\n2;"ö\r\n"\r\nSumme;3\r\n'.encode("cp850")
    assert written.reasons is not None


@pytest.mark.parametrize("form", ["workbook", "parquet"])
def test_rows_of_tables_that_are_no_text_become_csv(tmp_path: Path, form: str) -> None:
    header, rows = (
        ["Key", "DNC", "Name", "Score"],
        [[1, "true", "007", 1.5], [2, "no", 'a "b", c', 7.0], [3, "x", "d", 0.25]],
    )
    mapping = mapped(
        columns={"Key": "case_Key", "DNC": "do_Not_Contact", "Name": "case_ID", "Score": "case_Score"},
        constants={"carePlan_Key": 5},
        decimal=",",
        delimiter=";",
        skipped_lines=1 if form == "workbook" else 0,
    )
    if form == "workbook":
        file = RowFile(a_workbook(tmp_path, [["A report;"], header, *rows]), mapping)
    else:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
        parquet.write_table(arrow.table(columns), tmp_path / "cases.parquet")
        file = RowFile(tmp_path / "cases.parquet", mapping)
    assert usual_path(file) == tmp_path / "cases.failed.csv"
    whole = items(file)
    assert rewritten(made_here(file), failed(1, 2)) == whole[1:]
    (_, row) = list(csv.reader((tmp_path / "cases.failed.csv").open(newline=""), delimiter=";"))[-2:]
    assert row[5] == ("5" if form == "workbook" else "4"), "the number of its row"


JSON_ITEMS = [b'{"case_Key": 1}', b'{"case_Key":\n 2, "x": "\xc3\xa4"}', b"5", b"{}", b'{"case_Key": 4}']


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("is_body", [True, False])
def test_items_of_json_are_written_with_members_that_say_why(tmp_path: Path, packed: str, is_body: bool) -> None:
    file, body = tmp_path / f"cases.json{packed}", b" [ " + b" ,\n".join(JSON_ITEMS) + b"]"
    packers: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}
    file.write_bytes(packers[packed](body))
    original = original_of(file, job_of(body if is_body else array_of(JSON_ITEMS), 5))
    written = write_failed(original, failed(1, 2, 3), usual_path(file), TO_BE_MENDED)
    notes = {"_status": 422, "_reason": FAULT}
    assert (written.path.name, json.loads(written.path.read_bytes())) == (
        "cases.failed.json",
        [
            {"case_Key": 2, "x": "ä", "_index": 1, **notes},
            {"_index": 2, **notes, "_item": "5"},
            {"_index": 3, **notes},
        ],
    )
    assert written.reasons is None
    plain = write_failed(original, failed(0, 1, status=503), tmp_path / "plain.json", TO_BE_RESENT)
    assert json.loads(plain.path.read_bytes()) == [{"case_Key": 1}, {"case_Key": 2, "x": "ä"}]


def test_lines_of_json_are_found_by_their_index(tmp_path: Path) -> None:
    file, lines = tmp_path / "cases.ndjson", [b'{"case_Key": 1}', b'{"case_Key": 2}', b'{"case_Key": 3}']
    file.write_bytes(b"\xef\xbb\xbf\r\n" + b" \r\n\t".join(lines))
    original = original_of(file, job_of(file.read_bytes(), 3))
    written = write_failed(original, failed(0, 2), usual_path(file), TO_BE_MENDED)
    told = [json.loads(line) for line in written.path.read_text().splitlines()]
    assert [(item["case_Key"], item["_index"], item["_line"]) for item in told] == [(1, 0, 2), (3, 2, 4)]


def test_episodes_stay_episodes(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "episodes.ndjson", EpisodeMapping().of_care_plan(5))
    lines = [f'{{"resourceType":"EpisodeOfCare","id":"{number}","status":"active"}}' for number in range(3)]
    path_of(file).write_text("\n\n".join(lines))
    assert rewritten(made_here(file), failed(2)) == [items(file)[2]]
    assert '"_line": 5' in usual_path(file).read_text()


@pytest.mark.parametrize(("size", "limit"), [(2, 1 << 20), (3, 1 << 20), (100, 45)])
def test_a_part_is_found_in_the_file_that_was_cut(
    tmp_path: Path, size: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carecase_worker.client.mending.originals.PART_BYTES", limit)
    file = tmp_path / "cases.ndjson"
    whole = [b'{"case_Key":%d}' % key for key in range(8)]
    file.write_bytes(b"\n".join(whole))
    batches = Batches(size, limit)
    parts = [part for item in whole for part in batches.add(item)] + list(batches.rest())
    assert sum(part.items for part in parts) == 8
    for part in parts:
        original = original_of(file, job_of(b"".join(part.upload().pieces()), part.items))
        assert (original.first, original.is_body) == (part.first, False)
        written = write_failed(original, failed(part.items - 1), tmp_path / f"{part.first}.ndjson", TO_BE_MENDED)
        assert [item["case_Key"] for item in items(written.path)] == [part.first + part.items - 1]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(f"{HEADER}\n1,5,false,a\n")
    body = (tmp_path / "cases.csv").read_bytes()
    for other in (body[:-2] + b"b\n", body + b"\n"):
        with pytest.raises(BatchUnreadable, match="is not the file of job 0199"):
            original_of(RowFile(tmp_path / "cases.csv"), job_of(other, 1))
    with pytest.raises(BatchUnreadable, match="is not the file of job"):
        original_of(
            RowFile(tmp_path / "cases.csv", "referrals"), job_of(array_of(items_in(RowFile(tmp_path / "cases.csv"))), 1)
        )
    with pytest.raises(BatchUnreadable, match="is not a file that can"):
        original_of(tmp_path / "nosuch.json", job_of(body, 1))
    with pytest.raises(BatchUnreadable, match="is needed by its path"):
        original_of(RowFile(body), job_of(body, 1))
    with pytest.raises(JobNotFinal, match="The job is running"):
        original_of(RowFile(tmp_path / "cases.csv"), job_of(body, 1, state="running"))


def test_the_whole_original_is_not_sent_for_its_failed_items(tmp_path: Path) -> None:
    file = tmp_path / "cases.ndjson"
    file.write_bytes(b'{"case_Key":1}\n{"case_Key":2}\n')
    for body in (file.read_bytes(), b'[{"case_Key":1},{"case_Key":2}]'):
        with pytest.raises(RequestRefused, match="is the whole file"):
            refuse_original(file, job_of(body, 2))
    refuse_original(file, job_of(b"another", 2))


def test_nothing_is_overwritten_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    file = tmp_path / "cases.ndjson"
    file.write_bytes(b'{"case_Key":1}\n{"case_Key":2}\n')
    original = original_of(file, job_of(file.read_bytes(), 2))
    (tmp_path / "cases.failed.ndjson").write_text("mended")
    with pytest.raises(BatchUnreadable, match="exists already"):
        write_failed(original, failed(1), usual_path(file), TO_BE_MENDED)
    with pytest.raises(BatchUnreadable, match="cannot be written"):
        write_failed(original, failed(1), tmp_path / "nosuch" / "new", TO_BE_MENDED)
    with pytest.raises(BatchUnreadable, match="fewer items"):
        write_failed(original, failed(1, 2), tmp_path / "new", TO_BE_MENDED)
    assert write_failed(original, (), tmp_path / "new", TO_BE_MENDED).count == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cases.failed.ndjson", "cases.ndjson"]


def test_the_key_is_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    keys = {key_of_resent("0199", tmp_path / name) for name in "aab"} | {key_of_resent("0200", tmp_path / "a")}
    assert len(keys) == 3


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6),
    chosen=st.sets(st.integers(0, 5)),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_whatever_is_in_the_cells_it_is_the_same_item(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], chosen: set[int], delimiter: str
) -> None:
    place = tmp_path_factory.mktemp("rows")
    mapping = mapped(
        columns={"Key": "case_Key", "Name": "case_ID", "More": "case_Reason"},
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
        delimiter=delimiter,
    )
    with (place / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["Key", "Name", "More"], *([str(key), *row] for key, row in enumerate(rows))])
    original = made_here(RowFile(place / "cases.csv", mapping))
    indices = sorted(index for index in chosen if index < len(rows))
    if indices:
        whole = items(original.file)
        assert rewritten(original, failed(*indices)) == [whole[index] for index in indices]
