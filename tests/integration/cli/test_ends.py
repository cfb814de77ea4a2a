"""How a command's end becomes an exit status and a line: whatever ends it, and however its output is taken."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from carecase_worker.cli.ending import ended, plain_console
from carecase_worker.errors import CareCaseError, SettingsError


@pytest.fixture(autouse=True)
def standard_output() -> Iterator[None]:
    """Give back what may be closed for good."""
    kept = os.dup(1)
    yield
    os.dup2(kept, 1)
    os.close(kept)


def raising(error: BaseException) -> Callable[[], None]:
    """Make a command that ends so."""

    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("command", "status", "line"),
    [
        (lambda: "whatever it gives", 0, ""),
        (raising(SystemExit()), 0, ""),
        (raising(SystemExit(3)), 3, ""),
        (raising(SystemExit("So it is.")), 1, "So it is.\n"),
        (raising(CareCaseError("So it is.")), 2, "So it is.\n"),
        (raising(SettingsError("a: b\nc: d")), 2, "The configuration has mistakes:\n  a: b\n  c: d\n"),
        (raising(KeyboardInterrupt()), 130, ""),
        (raising(BrokenPipeError(32, "Broken pipe")), 141, ""),
        (
            raising(OSError(28, "No space left on device", "out.json")),
            74,
            "carecase cannot continue: out.json: No space left on device. Fix that, and run it again.\n",
        ),
    ],
)
def test_each_end_has_its_status_and_its_line(
    capsys: pytest.CaptureFixture[str], command: Callable[[], object], status: int, line: str
) -> None:
    assert ended(command) == status
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("stderr", [False, True])
def test_a_line_on_a_terminal_is_the_text_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stderr: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = f"Job 12 of 'demo' is [b]not[/b] :cat: at 0:10, None, https://127.0.0.1/ {'long ' * 100}."
    plain_console(stderr=stderr).print(text)
    assert capsys.readouterr()[stderr] == f"{text}\n"


def test_the_notes_of_an_error_are_told_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    error = CareCaseError("So it is.")
    error.add_note("It comes from there.")
    assert ended(raising(error)) == 2
    assert capsys.readouterr() == ("", "So it is.\nIt comes from there.\n")


def test_a_fault_of_ours_is_one_line_with_its_place_and_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(raising(ZeroDivisionError("case 17"))) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("carecase failed: ZeroDivisionError at ")
    assert err.endswith(". Please report this line with what you ran.\n")
    assert (err.count("\n"), "17" in err.partition(" at ")[0]) == (1, False)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (
            OSError(28, "No space left on device"),
            74,
            "carecase cannot continue: No space left on device. Fix that, and run it again.\n",
        ),
    ],
)
def test_what_is_only_found_when_the_rest_is_written_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, status: int, line: str
) -> None:
    class Full(io.RawIOBase):
        """Takes nothing."""

        def writable(self) -> bool:
            return True

        def write(self, _: Any) -> int:
            raise error

    output = io.TextIOWrapper(io.BufferedWriter(Full()))
    monkeypatch.setattr(sys, "stdout", output)
    assert ended(lambda: output.write("the result")) == status
    monkeypatch.undo()
    assert capsys.readouterr().err == line
    with pytest.raises(OSError, match=error.strerror or ""):
        output.detach()


def test_output_that_is_no_file_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """As notebooks have it."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    assert ended(lambda: print("the result")) == 0
    assert output.getvalue() == "the result\n"
