"""Commands for failed items of a file: `failed` writes them to a file for correction, `resend` sends that."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from carecase_worker.cli.connection import Json, ServiceFlags, with_service
from carecase_worker.cli.ending import STATUS_SOME_FAILED, shown, standard_error
from carecase_worker.cli.sending.batches import carry_out
from carecase_worker.cli.sending.mappings import MAPPING_HELP, row_file
from carecase_worker.cli.sending.options import with_options
from carecase_worker.cli.sending.progress import advise, follow_one, print_job
from carecase_worker.cli.sending.submission import Submission, SubmitOptions
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import Job
from carecase_worker.client.mending.failed_files import Written, key_of_resent
from carecase_worker.client.mending.originals import OriginalFile, refuse_original

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id of the job with failed items")]
Mapping = Annotated[str | None, typer.Option(help=f"The mapping that the file was sent with: {MAPPING_HELP}")]
Watch = Annotated[bool, typer.Option("--watch/--no-watch", help="Wait until the new job is final")]


@dataclass(frozen=True, slots=True)
class FailedOptions:
    """The options of `carecase failed`."""

    mapping: Mapping = None
    to: Annotated[Path | None, typer.Option(help="The new file; default: NAME.failed.csv beside FILE")] = None
    resend: Annotated[
        bool,
        typer.Option(
            "--resend", help="Write no file; resend the items that failed for a reason other than their content"
        ),
    ] = False
    watch: Watch = True


@dataclass(frozen=True, slots=True)
class ResendOptions:
    """The options of `carecase resend`."""

    mapping: Mapping = None
    watch: Watch = True


def add_commands(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(failed)
    app.command()(resend)


@with_service
@with_options(FailedOptions)
def failed(
    service: ServiceFlags,
    job: JobId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that was sent, unchanged")],
    options: FailedOptions,
    as_json: Json = False,
) -> None:
    """Write the items of a file that were not applied to a new file, each with its reason, for correction.

    With --resend, items with 500, 503 or Cancelled are resent unchanged, by the service if it still has them, or else
    from FILE. Exit status: 0 written or all applied, 1 some items failed again, 2 refused.
    """
    console = standard_error()
    with service.connect() as client:
        fetched = client.job(job)
        original = row_file(file, options.mapping, fetched.care_plan_key) or file
        if options.resend:
            _send_again(client, fetched, original, options.watch, as_json)
        written = client.write_failed(fetched, original, options.to)
    if as_json:
        names = {"file": written.path if written.count else None, "reasons": written.reasons}
        texts = {name: None if path is None else str(path) for name, path in names.items()}
        typer.echo(msgspec.json.encode({"count": written.count, **texts}).decode())
    else:
        _report(fetched, written)
        if written.count:
            again = shlex.join([job, str(written.path), *(("--mapping", options.mapping) if options.mapping else ())])
            what = "try them again" if fetched.dry_run else "send them"
            console.print(f"Correct them there, then {what}: carecase resend {again}")


@with_service
@with_options(ResendOptions)
def resend(
    service: ServiceFlags,
    job: JobId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The corrected file that carecase failed wrote")],
    options: ResendOptions,
    as_json: Json = False,
) -> None:
    """Send the corrected items of a job as a new batch: for its database and care plan, strict or dry as it was.

    Safe to repeat: the same file gives the same job. Exit status as of carecase submit.
    """
    console = standard_error()
    with service.connect() as client:
        fetched = client.job(job)
    refuse_original(row_file(file, options.mapping, fetched.care_plan_key) or file, fetched)
    submitted = SubmitOptions(
        care_plan=fetched.care_plan_key,
        database=fetched.database,
        watch=options.watch,
        dry_run=fetched.dry_run,
        strict=fetched.strict,
        idempotency_key=key_of_resent(fetched, file),
        mapping=options.mapping,
    )
    with service.connect(fetched.database) as client:
        carry_out(Submission(client, file, submitted, console), as_json)


def _report(job: Job, written: Written) -> None:
    applied, not_applied = "were applied", "were not applied"
    if job.dry_run:
        applied, not_applied = "would be applied", "would not be applied"
    if not written.count:
        typer.echo(f"All items of job {job.job_id} {applied}: there is nothing to correct.")
        return
    reasons = (
        "each with its reason"
        if written.reasons is None
        else f"and their reasons, by line, in {shown(written.reasons)}"
    )
    typer.echo(f"{written.count:,} of {job.total:,} items {not_applied}. They are in {shown(written.path)}, {reasons}.")


def _send_again(client: CareCases, job: Job, original: OriginalFile, watch: bool, as_json: bool) -> NoReturn:
    """Resend the retryable items, print the new job, and exit with the status."""
    console = standard_error()
    new = client.resend_failed(job, original)
    console.print(f"accepted as job {new.job_id}: {new.total:,} items")
    if watch:
        new = follow_one(client, new, console)
    print_job(new, as_json)
    advise([new], console)
    raise typer.Exit(STATUS_SOME_FAILED if new.failed or new.cancelled else 0)
