"""The output of `carecase up` once everything runs."""

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from carecase_worker.cli.sending.progress import follow, summary
from carecase_worker.cli.sending.sample import cases
from carecase_worker.client.access import find_access
from carecase_worker.client.api import connect_to
from carecase_worker.clock import SeededRandom
from carecase_worker.embedded.system import Started
from carecase_worker.errors import ClientError

_SAMPLE_SIZE = 5000


def show(started: Started, demo: bool, console: Console) -> None:
    """Send the sample if `demo` is set, and print the addresses of all parts."""
    stack = json.loads(started.stack_file.read_text("utf-8"))
    if demo:
        try:
            _send_sample(started, console)
        except ClientError as error:
            console.print(f"The sample could not be sent: {error}", style="red")
    _say_where(stack, started.stack_file, console)
    for note in started.notes:
        console.print(note, style="yellow")
    console.print("\nRunning. Ctrl-C stops it.")


def _send_sample(started: Started, console: Console) -> None:
    """Send the sample, unless the data directory has been used: its keys may be those of real cases."""
    with connect_to(find_access({}, {}, (started.stack_file,))) as client:
        if started.holds_cases or next(client.jobs(page_size=1), None) is not None:
            console.print(
                "No sample is sent: this data directory was used before, and the sample would overwrite cases."
            )
            return
        console.print(f"Sending a sample batch of {_SAMPLE_SIZE:,} synthetic cases:")
        job = client.submit(cases(_SAMPLE_SIZE, SeededRandom(1)))
        console.print(*map(summary, follow(client, [job], console)))


def _say_where(stack: dict[str, Any], stack_file: Path, console: Console) -> None:
    flower = stack["flower"]
    observed = (("Prometheus", f"{stack['prometheus']['url']}/alerts"),) if "prometheus" in stack else ()
    lines = (
        ("API", f"{stack['intake']['url']}/docs"),
        (
            "Page",
            f"{stack['intake']['url']}/app  sign in with the API key and the bearer of a client in {stack_file.name}",
        ),
        ("Flower", f"{flower['url']}  user {flower['user']}, password {flower['password']}"),
        *observed,
        ("Databases", ", ".join(f"{name} ({database['dialect']})" for name, database in stack["databases"].items())),
        ("Credentials", str(stack_file)),
        ("Logs", str(stack_file.parent / "logs")),
        ("Try", f"{sys.argv[0]} generate 100000 | {sys.argv[0]} submit -"),
    )
    console.print()
    for name, what in lines:
        console.print(f"  {name:<12}{what}")
