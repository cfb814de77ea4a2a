"""The items of JSON that failed are written with members that say why, from whichever part of a file."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from tests.integration.client.failed_files.originals import FAULT, array_of, failed, items, job_of, made_here, rewritten

from carecase_worker.client.mending.failed_files import usual_path, write_failed
from carecase_worker.client.mending.failed_items import TO_BE_MENDED, TO_BE_RESENT
from carecase_worker.client.mending.originals import original_of, path_of
from carecase_worker.client.row_files import RowFile
from carecase_worker.client.uploads import BATCH_BYTES, BATCH_ITEMS, PART_ITEMS, Batches
from carecase_worker.files.episodes import EpisodeMapping

JSON_ITEMS = [b'{"case_Key": 1}', b'{"case_Key":\n 2, "x": "\xc3\xa4"}', b"5", b"{}", b'{"case_Key": 4}']


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("is_body", [True, False])
def test_items_of_json_are_written_with_members_that_say_why(tmp_path: Path, packed: str, is_body: bool) -> None:
    sent = [*JSON_ITEMS, b'"\xff"']
    file, body = tmp_path / f"cases.json{packed}", b" [ " + b" ,\n".join(sent) + b"]"
    packers: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}
    file.write_bytes(packers[packed](body))
    original = original_of(file, job_of(body if is_body else array_of(sent), 6))
    written = write_failed(original, failed(1, 2, 3, 5), usual_path(file), TO_BE_MENDED)
    notes = {"_status": 422, "_reason": FAULT}
    assert (written.path.name, json.loads(written.path.read_bytes())) == (
        "cases.failed.json",
        [
            {"case_Key": 2, "x": "ä", "_index": 1, **notes},
            {"_index": 2, **notes, "_item": "5"},
            {"_index": 3, **notes},
            {"_index": 5, **notes, "_item": '"\ufffd"'},
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
    records = [json.loads(line) for line in written.path.read_text().splitlines()]
    assert [(item["case_Key"], item["_index"], item["_line"]) for item in records] == [(1, 0, 2), (3, 2, 4)]


def test_episodes_stay_episodes(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "episodes.ndjson", EpisodeMapping().of_care_plan(5))
    lines = [f'{{"resourceType":"EpisodeOfCare","id":"{number}","status":"active"}}' for number in range(3)]
    path_of(file).write_text("\n\n".join(lines))
    assert rewritten(made_here(file), failed(2)) == [items(file)[2]]
    assert '"_line": 5' in usual_path(file).read_text()


@pytest.mark.parametrize(
    ("size", "limit", "count"),
    [(2, 1 << 20, 8), (3, 1 << 20, 8), (5, 1 << 20, 8), (100, 45, 8), (PART_ITEMS, 228_290, 30_000)],
)
def test_a_part_is_found_in_the_file_that_was_cut(
    tmp_path: Path, size: int, limit: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carecase_worker.client.mending.originals.PART_BYTES", limit)
    file = tmp_path / "cases.ndjson"
    whole = [b'{"case_Key":%d}' % key for key in range(count)]
    file.write_bytes(b"\n".join(whole))
    batches = Batches(size, limit)
    parts = [part for item in whole for part in batches.add(item)] + list(batches.rest())
    assert sum(part.items for part in parts) == count
    for part in parts:
        original = original_of(file, job_of(b"".join(part.upload().pieces()), part.items))
        assert (original.first, original.is_body) == (part.first, False)
        written = write_failed(original, failed(part.items - 1), tmp_path / f"{part.first}.ndjson", TO_BE_MENDED)
        assert [item["case_Key"] for item in items(written.path)] == [part.first + part.items - 1]


def test_a_batch_that_a_program_sent_of_a_file_is_found_though_its_bytes_were_the_limit(tmp_path: Path) -> None:
    file, text = tmp_path / "cases.ndjson", b"x" * (BATCH_BYTES // 100)
    whole = [b'{"case_Key":%d,"x":"%b"}' % (key, text * (1 if key else 2)) for key in range(200)]
    file.write_bytes(b"\n".join(whole))
    batches = Batches(BATCH_ITEMS, BATCH_BYTES)
    first, second, _ = [part for item in whole for part in batches.add(item)] + list(batches.rest())
    assert first.items != second.items, "else the number of items alone would find it"
    original = original_of(file, job_of(b"".join(second.upload().pieces()), second.items))
    assert original.first == first.items


def test_items_of_json_up_to_the_last_one_are_written(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_bytes(b"[" + b",".join(JSON_ITEMS) + b"]")
    assert rewritten(made_here(file), failed(0, 4)) == [{"case_Key": 1}, {"case_Key": 4}]
    last = original_of(file, job_of(array_of(JSON_ITEMS[3:]), 2))
    assert (last.first, rewritten(last, failed(1), tmp_path / "last.json")) == (3, [{"case_Key": 4}])
