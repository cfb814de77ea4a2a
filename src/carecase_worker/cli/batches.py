"""Commands that make and send batches: submit, generate."""

import gzip
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
import zstandard
from rich.console import Console

from carecase_worker.cli.connection import Json, ServiceFlags, with_service
from carecase_worker.cli.progress import follow, summary, uploading
from carecase_worker.cli.sample import cases
from carecase_worker.client.api import Upload
from carecase_worker.clock import SeededDice, stopwatch
from carecase_worker.errors import ClientError

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}


def add_commands(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(submit)
    app.command()(generate)


@with_service
def submit(
    service: ServiceFlags,
    file: Annotated[
        Path, typer.Argument(help="JSON array or NDJSON, also .gz or .zst of either; - for standard input")
    ],
    care_plan: Annotated[int | None, typer.Option(help="The care plan that all cases belong to")] = None,
    database: Annotated[str | None, typer.Option(help="The target database (CARECASE_DATABASE)")] = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until the job is final")] = True,
    as_json: Json = False,
) -> None:
    """Send a batch. Exit status: 0 all applied, 1 some items failed, 2 refused."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as place, service.connect(database) as client:
        upload = _upload(file, Path(place))
        began = stopwatch()
        with uploading(console, upload.path.stat().st_size) as sent:
            job = client.submit(upload, care_plan, sent)
        console.print(f"accepted as job {job['jobId']}: {job['total']:,} items in {stopwatch() - began:.2f} s")
        if watch:
            job = follow(client, job, console)
            seconds = stopwatch() - began
            console.print(
                f"{job['total'] / seconds:,.0f} cases/s from the first byte to the last case, {seconds:.2f} s"
            )
    typer.echo(msgspec.json.encode(job).decode() if as_json else summary(job))
    raise typer.Exit(1 if job["failed"] or job["cancelled"] else 0)


def generate(
    count: Annotated[int, typer.Argument(min=1, max=10_000_000, help="How many cases")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same cases")] = 1,
    care_plan: Annotated[int | None, typer.Option(help="The care plan of all cases; several if left out")] = None,
) -> None:
    """Write a synthetic batch to standard output, as a JSON array."""
    before = "["
    for case in cases(count, SeededDice(seed), care_plan):
        sys.stdout.write(before + msgspec.json.encode(case).decode())
        before = ",\n"
    sys.stdout.write("]\n")


def _upload(file: Path, place: Path) -> Upload:
    """The batch as it can be sent; what can be read only once is put down in `place` first. Raises ClientError."""
    try:
        if str(file) == "-":
            file = _spooled(sys.stdin.buffer, place)
        elif not file.is_file():
            with file.open("rb") as once:
                file = _spooled(once, place)
        with file.open("rb") as opened:
            magic = opened.read(2)
            opened.seek(0)
            encoding = _MAGIC.get(magic)
            head = _first_byte(opened, encoding)
    except OSError as error:
        raise ClientError(f"{file}: cannot be read ({error.strerror})") from None
    return Upload(file, "application/x-ndjson" if head == b"{" else "application/json", encoding)


def _spooled(source: BinaryIO, place: Path) -> Path:
    file = place / "batch"
    with file.open("wb") as spooled:
        shutil.copyfileobj(source, spooled, 1 << 20)
    return file


def _first_byte(file: BinaryIO, encoding: str | None) -> bytes:
    """The first byte of a batch that is not white space: an array begins with [, lines begin with {."""
    try:
        match encoding:
            case "gzip":
                head = gzip.GzipFile(fileobj=file).read(4096)
            case "zstd":
                head = zstandard.ZstdDecompressor().stream_reader(file).read(4096)
            case _:
                head = file.read(4096)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError):
        return b""  # the service says what is wrong with it
    return head.lstrip()[:1]
