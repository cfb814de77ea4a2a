"""Commands for files of partners: `files check`, and `drop` for a watched folder."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from carecase_worker.batches.line_numbers import NumberedItems
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.cases.validation import Rules, validate
from carecase_worker.cli.connection import ServiceFlags, with_service
from carecase_worker.cli.ending import STATUS_SOME_FAILED, shown, standard_error
from carecase_worker.cli.sending.dropping import DropMapping, DropOptions, Dropping, Filed
from carecase_worker.cli.sending.mappings import MAPPING_HELP, configured_mapping, row_file
from carecase_worker.cli.sending.options import with_options
from carecase_worker.cli.sending.progress import offer_dry_run
from carecase_worker.cli.sending.submission import SubmitOptions, command_of, source_of
from carecase_worker.client.files.folder import Folder
from carecase_worker.client.row_files import RowFile, groups_of_items
from carecase_worker.clock import monotonic, system_sleep
from carecase_worker.errors import RequestRefused
from carecase_worker.files.episodes import NO_PLACE, EpisodeMapping
from carecase_worker.files.refusals import FileFault
from carecase_worker.settings.loading import named_file

_LEAST_LOOK_S, _LONGEST_LOOK_S = 0.1, 2.0
"""Seconds between two scans of a folder; with --once, files must be unchanged between the first two scans."""

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
"""A time for the validation rules; none depends on it."""


def add_commands(app: typer.Typer) -> None:
    """Add the commands."""
    files = typer.Typer(help="Check files of rows before they are sent.", no_args_is_help=True)
    files.callback()(_files)
    files.command()(check)
    app.add_typer(files, name="files")
    app.command()(drop)


def _files() -> None:
    """Check files of rows before they are sent."""


def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, TSV, fixed width, Excel, Parquet or FHIR NDJSON; - for a pipe")
    ],
    mapping: Annotated[str | None, typer.Option(help=MAPPING_HELP)] = None,
    care_plan: Annotated[int | None, typer.Option(help="The care plan of all cases")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Number of rows to show as cases")] = 3,
    config: Annotated[
        Path | None, typer.Option(help="The service's configuration, to find the mapping in (CARECASE_CONFIG)")
    ] = None,
) -> None:
    """Show the first rows of a file as cases, and every fault; nothing is sent. Exit status: 0 no fault, 1 faults.

    Conflicts with the database are not detected.
    """
    console = standard_error()
    source = source_of(file)
    named = row_file(source, mapping, care_plan) or RowFile(source)
    configuration = config or named_file()
    if isinstance(named.mapping, str) and configuration is not None:
        named = RowFile(source, configured_mapping(configuration, named.mapping))
    if isinstance(named.mapping, EpisodeMapping):
        console.print(f"These parts of a resource have no field in a case: {', '.join(NO_PLACE)}.")
    faults: list[FileFault] = []
    bad: set[int] = set()
    good = printed = 0
    for line, item, outcome in _judged(named, care_plan, faults):
        _say(faults, bad)
        if printed < rows:
            typer.echo(msgspec.json.format(item, indent=0).decode())
            printed += 1
        if outcome is None:
            good += 1
        else:
            bad.add(line)
            typer.echo(f"Line {line}: {shown(outcome.body)}")
    _say(faults, bad)
    typer.echo(f"{good:,} of {good + len(bad):,} rows are cases. Nothing was sent.")
    if not bad and isinstance(source, Path):
        offer_dry_run(console, command_of(file, SubmitOptions(mapping=mapping, care_plan=care_plan)))
    raise typer.Exit(STATUS_SOME_FAILED if bad else 0)


@with_service
@with_options(DropOptions)
def drop(
    service: ServiceFlags,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; done and failed are created in it")],
    options: DropOptions,
) -> None:
    """Watch a folder, such as an SFTP server's: send each complete file once, and write its acknowledgement.

    A file with all rows applied is moved to done, any other to failed, each with NAME.ack.csv beside it.

    Exit status with --once: 0 all files are in done, 1 some are in failed.
    """
    console, folder, mapping = standard_error(), Folder(directory), DropMapping.of(options)
    some_failed = False
    settle_s = max(options.settle, _LEAST_LOOK_S)
    pause = timedelta(seconds=settle_s if options.once else min(settle_s, _LONGEST_LOOK_S))
    with service.connect(options.database) as client, folder.watched():
        if client.database is None:
            raise RequestRefused("No database is named. Set --database, or CARECASE_DATABASE.")
        dropping = Dropping(client, folder, options, console, mapping)
        folder.taken(monotonic(), options.settle)
        while True:
            system_sleep(pause)
            filed = [dropping.send(file) for file in folder.taken(monotonic(), options.settle)]
            some_failed |= Filed.FAILED in filed
            if options.once and Filed.LATER not in filed:
                raise typer.Exit(STATUS_SOME_FAILED if some_failed else 0)


def _judged(
    file: RowFile, care_plan: int | None, faults: list[FileFault]
) -> Iterator[tuple[int, bytes, Outcome | None]]:
    """Yield the line of each row, its item, and its outcome if it breaks a rule; collect the faults of the file."""
    rules = Rules(care_plan, "", _ANY_MOMENT)
    for items in groups_of_items(file, faults.append):
        raw = list(items)
        judged = validate(b"[%b]" % b",".join(raw), rules)
        lines = items.lines if isinstance(items, NumberedItems) else range(1, len(raw) + 1)
        for line, item, one in zip(lines, raw, judged, strict=True):
            yield line, bytes(item), one if isinstance(one, Outcome) else None


def _say(faults: list[FileFault], bad: set[int]) -> None:
    """Print and clear the faults of the file so far, and collect their lines."""
    for fault in faults:
        typer.echo(shown(fault))
        bad.add(fault.line)
    faults.clear()
