"""`carecase audit`: verification of the audit log."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from carecase_worker.audit.log import opened_files
from carecase_worker.audit.records import Head
from carecase_worker.audit.verification import Verification
from carecase_worker.cli.configuration import Config, settings_nearby
from carecase_worker.cli.connection import Json
from carecase_worker.cli.ending import STATUS_FAULT
from carecase_worker.errors import SettingsError

_LONGEST_LINE = 1 << 20


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    audit = typer.Typer(help="The audit log", no_args_is_help=True)
    audit.callback()(lambda: None)
    audit.command("verify")(audit_verify)
    app.add_typer(audit, name="audit", help="The audit log")


def audit_verify(
    directory: Annotated[
        Path | None, typer.Argument(help="Directory of the log or of a copy; default: audit.directory")
    ] = None,
    noted: Annotated[
        list[str] | None,
        typer.Option("--noted", metavar="NUMBER:HASH", help="End of the log as printed by an earlier run; repeatable"),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check whether records were modified, removed or inserted. Exit status 1 if so.

    Keyed digests need audit.keys. The intakes may keep writing meanwhile. A log that was truncated at the end, or
    rewritten without keys, is detected only with --noted, an end that was stored elsewhere.
    """
    heads = [_head(text) for text in noted or ()]
    settings = settings_nearby(config).audit
    place = directory or settings.directory
    if place is None:
        raise SettingsError("audit.directory: is not set, so there is no audit log; name a directory with one")
    made = Verification(settings.by_id, heads)
    with ExitStack() as opened:
        for name, line in _lines(place, opened):
            made.feed(name, line)
    made.finish()
    if not made.records:
        made.faults.insert(0, f"there is no record in {place}")
        made.fault_count += 1
    typer.echo(_as_json(made) if as_json else "\n".join(_report_of(made)))
    raise typer.Exit(STATUS_FAULT if made.fault_count else 0)


def _lines(place: Path, opened: ExitStack) -> Iterator[tuple[str, bytes]]:
    """Yield the current lines of a log, each with a name for messages. Raises SettingsError."""
    try:
        place.stat()
        for name, file, size in opened_files(place, opened):
            count = 0
            while size and (line := file.readline(min(size, _LONGEST_LINE))):
                count, size = count + 1, size - len(line)
                yield f"line {count} of {name}", line
    except OSError as error:
        raise SettingsError(f"audit.directory: {place} cannot be read ({error.strerror})") from None


def _head(text: str) -> Head:
    parts = re.fullmatch("([1-9][0-9]{0,15}):([0-9a-f]{64})", text.strip())
    if parts is None:
        raise typer.BadParameter("give it as printed by carecase audit verify: NUMBER:HASH", param_hint="--noted")
    return Head(int(parts[1]), parts[2])


def _report_of(made: Verification) -> Iterator[str]:
    yield from (f"fault {fault}" for fault in made.faults)
    if made.fault_count > len(made.faults):
        yield f"fault … and {made.fault_count - len(made.faults)} more"
    yield from (f"note  {note}" for note in made.notes)
    if made.records:
        span = f"{made.first.number} to {made.last.number}, the last at {made.last_at}"
        found = f"{made.fault_count} faults" if made.fault_count else "nothing was modified, removed or inserted"
        yield f"{made.records} records, {span}: {found}."
        yield f"It ends with {made.last.number}:{made.last.hash}"
        yield "Store that elsewhere, and give it as --noted next time: truncation at the end is detected only by it."


def _as_json(made: Verification) -> str:
    ends = {name: f"{head.number}:{head.hash}" for name, head in (("first", made.first), ("last", made.last))}
    faults = {"faults": made.faults, "faultCount": made.fault_count}
    return msgspec.json.encode({"records": made.records, **ends, **faults, "notes": made.notes}).decode()
