"""Commands that make and send batches: submit, generate."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from carecase_worker.cli.connection import Json, ServiceFlags, with_service
from carecase_worker.cli.ending import STATUS_INTERRUPTED, STATUS_SOME_FAILED, standard_error
from carecase_worker.cli.sending.changes import changes_of
from carecase_worker.cli.sending.options import with_options
from carecase_worker.cli.sending.progress import advise, follow, offer_dry_run, print_job, summary_of_all
from carecase_worker.cli.sending.sample import cases
from carecase_worker.cli.sending.submission import Submission, SubmitOptions, command_of
from carecase_worker.cli.sending.tables import print_items
from carecase_worker.client.documents import ItemResult, Job
from carecase_worker.clock import SeededRandom, monotonic
from carecase_worker.errors import ClientError


def add_commands(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(submit)
    app.command()(generate)


@with_service
@with_options(SubmitOptions)
def submit(
    service: ServiceFlags,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="JSON array, NDJSON or CSV, also compressed by gzip or zstd; Excel; Parquet; - for a pipe",
        ),
    ],
    options: SubmitOptions,
    as_json: Json = False,
) -> None:
    """Send a file as one batch, or in several if too large. Exit status: 0 all applied, 1 some items failed, 2 refused.

    With --json, prints one line for each batch.
    """
    console = standard_error()
    with service.connect(options.database) as client:
        submission = Submission(client, file, options, console)
        if options.validate_only:
            _validate(submission, as_json)
        carry_out(submission, as_json)


def carry_out(submission: Submission, as_json: bool) -> NoReturn:
    """Send everything, print the results, and exit with the status. Raises ClientError."""
    try:
        jobs = _sent(submission)
    except KeyboardInterrupt:
        _say_what_goes_on(submission, "Interrupted.")
        raise typer.Exit(STATUS_INTERRUPTED) from None
    except ClientError:
        if submission.accepted or submission.awaits_answer:
            _say_what_goes_on(submission, "It was not completed.")
        raise
    changes = changes_of(submission.client, jobs) if submission.options.dry_run and not as_json else ""
    _report(jobs, changes, as_json)
    advise(jobs, submission.console, submission.sent_as)
    if submission.options.dry_run and submission.sent_as and all(job.applied for job in jobs):
        command = command_of(submission.file, submission.options)
        submission.console.print(f"Nothing was applied. To apply it: {command}")
    raise typer.Exit(STATUS_SOME_FAILED if any(job.failed or job.cancelled for job in jobs) else 0)


def _sent(submission: Submission) -> Sequence[Job]:
    """Send everything, and follow the jobs until they are final if --watch is on; return the jobs."""
    began = monotonic()
    for job in submission.send():
        items = "1 item" if job.total == 1 else f"{job.total:,} items"
        submission.console.print(f"accepted as job {job.job_id}: {items} in {monotonic() - began:.2f} s")
    jobs: Sequence[Job] = submission.accepted
    if submission.options.watch:
        jobs = follow(submission.client, jobs, submission.console)
        seconds, total = monotonic() - began, sum(job.total for job in jobs)
        submission.console.print(
            f"{total / seconds:,.0f} cases/s from the first byte to the last case, {seconds:.2f} s"
        )
    return jobs


def _report(jobs: Sequence[Job], changes: str, as_json: bool) -> None:
    """Print the jobs, and the changes of dry runs if there are any."""
    for job in jobs:
        print_job(job, as_json)
    if len(jobs) > 1 and not as_json:
        typer.echo(summary_of_all(jobs))
    if changes:
        typer.echo(f"would change: {changes}")


def _say_what_goes_on(submission: Submission, happened: str) -> None:
    """Print, after an interrupted submission, which of its jobs continue."""
    accepted, say = submission.accepted, submission.console.print
    if accepted:
        said = f"job {accepted[0].job_id} continues" if len(accepted) == 1 else f"{len(accepted)} jobs continue"
        say(f"{happened} Accepted batches are not lost: {said}.")
        for job in accepted[-1:]:
            say(f"To watch: carecase status {job.job_id} --watch. To cancel: carecase cancel {job.job_id}")
        if len(accepted) > 1:
            say("The other jobs: carecase jobs")
    if submission.awaits_answer:
        say(f"{happened} A response was outstanding: carecase jobs shows if the last batch was accepted.")
        if submission.options.idempotency_key is None:
            say(f"To send the same again, but make no second job of it, add --idempotency-key {submission.key}")
    elif not accepted:
        say(f"{happened} Nothing was accepted.")


def _validate(submission: Submission, as_json: bool) -> None:
    """Print the validation of each item, and exit. Only invalid items are kept in memory until then."""
    if submission.options.dry_run:
        raise typer.BadParameter(
            "uses the database, --validate-only does not: give one of them", param_hint="--dry-run"
        )
    invalid = []
    count = 0
    for count, item in enumerate(submission.validate(), start=1):
        if as_json:
            sys.stdout.write(("," if count > 1 else "[") + msgspec.json.encode(item.document()).decode())
        if item.group != "valid":
            invalid.append(item)
    if as_json:
        sys.stdout.write("]\n")
    else:
        _report_validity(submission, count, invalid)
    raise typer.Exit(STATUS_SOME_FAILED if invalid else 0)


def _report_validity(submission: Submission, count: int, invalid: Sequence[ItemResult]) -> None:
    """Print the invalid items of so many, and what to do next."""
    if invalid:
        print_items(invalid)
    typer.echo(f"{count - len(invalid):,} of {count:,} items are valid. Nothing was applied.")
    if submission.sent_as and not invalid:
        offer_dry_run(submission.console, command_of(submission.file, submission.options))


def generate(
    count: Annotated[int, typer.Argument(min=1, max=10_000_000, help="Number of cases")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same cases")] = 1,
    care_plan: Annotated[int | None, typer.Option(help="The care plan of all cases; default: several")] = None,
) -> None:
    """Write a synthetic batch to standard output, as a JSON array."""
    before = "["
    for case in cases(count, SeededRandom(seed), care_plan):
        sys.stdout.write(before + msgspec.json.encode(case).decode())
        before = ",\n"
    sys.stdout.write("]\n")
