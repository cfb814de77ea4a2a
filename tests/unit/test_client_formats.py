"""Files that are no batch: each is recognised by its beginning, and refused with what to do."""

import gzip
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.builders import a_batch, a_case

from carecase_worker.client.uploads import items_in, reading
from carecase_worker.errors import BatchUnreadable

BATCH = a_batch(a_case(1))


def archive(kind: Any) -> bytes:
    """A batch in an archive."""
    made = io.BytesIO()
    if kind is zipfile:
        with zipfile.ZipFile(made, "w") as packed:
            packed.writestr("xl/workbook.xml", "<workbook/>")
    else:
        with tarfile.open(fileobj=made, mode="w") as packed:
            packed.addfile(tarfile.TarInfo("batch.json"), io.BytesIO())
    return made.getvalue()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"case_Key,carePlan_Key,do_Not_Contact\n1,5,false\n", "CSV"),
        (b'\xef\xbb\xbf"case_Key";"carePlan_Key"\r\n1;5\r\n', "named .csv, or with --mapping"),
        (b"case_Key\tcarePlan_Key\n", "CSV"),
        (BATCH.decode().encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
        (BATCH.decode().encode("utf-16-le"), "UTF-16"),
        (BATCH.decode().encode("utf-16-be"), "UTF-16"),
        (BATCH.decode().encode("utf-32"), "UTF-32"),
        (json.dumps({"cases": [a_case(1)]}).encode(), "a single object"),
        (json.dumps({"cases": [a_case(1)]}, indent=2).encode(), "jq .NAME"),
        (json.dumps({"count": 1, "cases": [a_case(1)]}, indent=2).encode(), "a single object"),
        (json.dumps(a_case(1), indent=2).encode(), "put it into brackets"),
        (b'{"cases": [{"case_Key": 1},' + b" " * 100_000, "a single object"),
        (b"", "empty"),
        (b" \r\n\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"<!DOCTYPE html>", "XML or HTML"),
        (archive(zipfile), "an Excel workbook (.xlsx)"),
        (archive(tarfile), "a tar archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"BZh91AY&SY", "compressed by bzip2"),
        (b"\xfd7zXZ\x00\x00\x04", "compressed by xz"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7-Zip archive"),
        (b"\x04\x22\x4d\x18\x64\x40\xa7", "compressed by lz4"),
        (b"%PDF-1.7\n", "a PDF document"),
        (gzip.compress(BATCH), "compressed twice"),
        (zstandard.compress(BATCH), "compressed twice"),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_another_format_is_reported_with_what_to_do(tmp_path: Path, raw: bytes, words: str, compress: Any) -> None:
    if compress is bytes and raw[:4] in (b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"):
        return
    file = tmp_path / "cases.json"
    file.write_bytes(compress(raw))
    with pytest.raises(BatchUnreadable) as raised, reading(file):
        pass
    assert str(raised.value).startswith(f"{file}: this is ")
    assert words in str(raised.value)
    with pytest.raises(BatchUnreadable, match="this is"):
        list(items_in(file))


@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_a_line_that_is_nested_too_deeply_to_be_looked_into_is_sent_as_it_is(depth: int) -> None:
    deep = b'{"case_Key": 1, "x": ' + b"[" * depth + b"]" * depth + b"}\n"
    with reading(deep) as upload:
        assert (upload.content_type, b"".join(upload.pieces())) == ("application/x-ndjson", deep)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has a file that can be opened and not read")
def test_a_file_that_cannot_be_read_is_reported() -> None:
    file = Path("/proc/self/mem")
    text = f"{file}: cannot be read \\(Input/output error\\)"
    with pytest.raises(BatchUnreadable, match=text):
        list(items_in(file))
    with pytest.raises(BatchUnreadable, match=text), reading(file):
        pass


@pytest.mark.parametrize("magic", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_what_is_compressed_and_broken_is_reported(tmp_path: Path, magic: bytes) -> None:
    file = tmp_path / "cases.json.gz"
    file.write_bytes(magic + b"broken")
    with pytest.raises(BatchUnreadable, match="damaged or truncated"), reading(file):
        pass
