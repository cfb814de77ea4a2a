"""What `carecase up` shows once everything runs."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from carecase_worker.cli.connection import connect_to
from carecase_worker.cli.progress import follow, summary
from carecase_worker.cli.sample import cases
from carecase_worker.client.access import find_access
from carecase_worker.client.api import Upload
from carecase_worker.clock import SeededDice
from carecase_worker.errors import ClientError

_SAMPLE_SIZE = 5000


def show(stack_file: Path, demo: bool, console: Console) -> None:
    """Send the sample if asked to, and say where everything is."""
    stack = json.loads(stack_file.read_text("utf-8"))
    if demo:
        try:
            _send_sample(stack_file, console)
        except ClientError as error:
            console.print(f"The sample could not be sent: {error}", style="red", markup=False)
    _say_where(stack, stack_file, console)


def _send_sample(stack_file: Path, console: Console) -> None:
    with tempfile.TemporaryDirectory() as place, connect_to(find_access({}, {}, (stack_file,))) as client:
        batch = Path(place) / "sample.json"
        batch.write_bytes(msgspec.json.encode(list(cases(_SAMPLE_SIZE, SeededDice(1)))))
        console.print(f"Sending a sample batch of {_SAMPLE_SIZE:,} synthetic cases:")
        job = client.submit(Upload(batch, "application/json"), None, lambda _: None)
        console.print(summary(follow(client, job, console)), markup=False)


def _say_where(stack: dict[str, Any], stack_file: Path, console: Console) -> None:
    flower = stack["flower"]
    lines = (
        ("API", f"{stack['intake']['url']}/docs"),
        ("Flower", f"{flower['url']}  user {flower['user']}, password {flower['password']}"),
        ("Databases", ", ".join(f"{name} ({held['dialect']})" for name, held in stack["databases"].items())),
        ("Credentials", str(stack_file)),
        ("Logs", str(stack_file.parent / "logs")),
        ("Try", f"{sys.argv[0]} generate 100000 | {sys.argv[0]} submit -"),
    )
    console.print()
    for name, what in lines:
        console.print(f"  {name:<12}{what}", markup=False)
    console.print("\nRunning. Ctrl-C stops it.")
