"""Only the file that was sent is taken; nothing is overwritten, and only what failed is sent again."""

import os
from pathlib import Path

import pytest
from tests.integration.client.failed_files.originals import (
    HEADER,
    array_of,
    failed,
    job_of,
    made_here,
    mapped,
    of_the_service,
)

from carecase_worker.client.documents import ItemResult
from carecase_worker.client.mending.failed_files import key_of_resent, usual_path, write_failed
from carecase_worker.client.mending.failed_items import TO_BE_MENDED
from carecase_worker.client.mending.originals import original_of, refuse_original
from carecase_worker.client.row_files import RowFile
from carecase_worker.client.uploads import items_in
from carecase_worker.errors import BatchUnreadable, JobNotFinal, RequestRefused


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
    lines = tmp_path / "cases.ndjson"
    lines.write_bytes(b'{"case_Key":1}\n{"case_Key":2}\n{"case_Key":3}\n')
    with pytest.raises(BatchUnreadable, match="is not the file of job 0199"):
        original_of(lines, job_of(b'[{"case_Key":2},{"case_Key":4}]', 2))
    with pytest.raises(BatchUnreadable, match="is not a file that can be read twice"):
        original_of(tmp_path / "nosuch.json", job_of(body, 1))
    (tmp_path / "text").write_text("no case\n")
    with pytest.raises(
        BatchUnreadable, match=r"that was retried\. As given, it has no items: .*text: The body is not JSON"
    ):
        original_of(tmp_path / "text", job_of(body, 1))
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


@pytest.mark.parametrize("planted", ["file", "link", "hard link", "pipe"])
def test_what_lies_in_the_way_of_a_new_file_gets_no_case(tmp_path: Path, planted: str) -> None:
    """Somebody who may write there could have made it, to read it later or to have another file emptied."""
    file, elsewhere = tmp_path / "cases.ndjson", tmp_path / "elsewhere"
    file.write_bytes(b'{"case_Key":1}\n{"case_Key":2}\n')
    elsewhere.write_text("kept")
    part = tmp_path / ".cases.failed.ndjson.part"
    match planted:
        case "file":
            part.write_text("kept")
        case "link":
            part.symlink_to(elsewhere)
        case "hard link":
            part.hardlink_to(elsewhere)
        case _:
            os.mkfifo(part)
    reader = None if planted in ("link", "pipe") else part.open()
    to = usual_path(file)
    written = write_failed(original_of(file, job_of(file.read_bytes(), 2)), failed(1), to, TO_BE_MENDED)
    assert (written.count, to.stat().st_mode & 0o777, to.is_symlink()) == (1, 0o600, False)
    assert elsewhere.read_text() == "kept"
    if reader is not None:
        assert reader.read() == "kept"
        reader.close()


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


JSON_BODY, LINES, ROWS = b'[{"case_Key":1}]', b'{"case_Key":1}\n', f"{HEADER}\n1,5,no,a\n".encode()


@pytest.mark.parametrize(
    ("name", "body", "results"),
    [
        ("cases.json", JSON_BODY, failed(0, 1)),
        ("cases.ndjson", LINES, failed(0, 1)),
        ("mapped.csv", ROWS, failed(0, 1)),
        ("cases.csv", ROWS, of_the_service(2, [2, 3], 0, 1)),
    ],
)
def test_no_file_is_written_if_one_of_the_failed_items_is_not_there(
    tmp_path: Path, name: str, body: bytes, results: list[ItemResult]
) -> None:
    file = tmp_path / name
    file.write_bytes(body)
    rows = RowFile(file, mapped() if name == "mapped.csv" else None)
    original = made_here(rows) if name == "mapped.csv" else original_of(rows if body == ROWS else file, job_of(body, 2))
    with pytest.raises(BatchUnreadable, match="has fewer items than job 0199"):
        write_failed(original, results, tmp_path / "new", TO_BE_MENDED)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_the_key_is_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    keys = {key_of_resent("0199", tmp_path / name) for name in "aab"} | {key_of_resent("0200", tmp_path / "a")}
    assert len(keys) == 3
