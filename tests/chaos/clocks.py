"""One more intake, whose clock can jump while it serves: libfaketime reads from a file by how much it is off."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from _pytest.outcomes import Skipped
from tests.acceptance.system import COMMAND, System
from tests.faketime import shifted_in
from tests.ports import free_port

from carecase_worker.embedded.stack import running_stack
from carecase_worker.settings.loading import process_environment

_CLOCK, _URL = "clock", "second-intake"


def intakes(system: System) -> list[str]:
    """The URLs that clients may send to."""
    second = system.place / _URL
    return [system.stack["intake"]["url"], *([second.read_text()] if second.exists() else [])]


def set_clock(system: System, offset: str) -> None:
    """Have the second intake's clock be off, as `+1d`; `+0` sets it right."""
    (system.place / _CLOCK).write_text(offset)


@contextmanager
def intake_with_a_clock(system: System) -> Iterator[None]:
    """Run the second intake, if libfaketime is there."""
    set_clock(system, "+0")
    try:
        wrong = shifted_in(system.place / _CLOCK)
    except Skipped as skipped:
        print(skipped.msg, flush=True)
        yield
        return
    port = free_port()
    settings = running_stack(system.data_dir / "stack.json").environment()
    environment = process_environment() | settings | wrong
    environment |= {"CARECASE_INTAKE_PORT": str(port), "CARECASE_CONFIG": str(system.place / "chaos.toml")}
    with (system.place / "second-intake.log").open("w") as log:
        process = subprocess.Popen([*COMMAND, "intake"], cwd=system.place, env=environment, stdout=log, stderr=log)
    (system.place / _URL).write_text(f"http://127.0.0.1:{port}")
    try:
        yield
    finally:
        process.terminate()
        process.wait(300)
