"""The end of a command: here errors become messages and exit statuses, and the output is flushed."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper

from rich.console import Console

from carecase_worker.errors import CareCaseError, SettingsError, safe_error_fields

STATUS_SOME_FAILED = 1
"""Some items, or some rows of a file, failed."""
STATUS_FAULT = 1
"""A command that checks or operates the service found a fault."""
STATUS_INTERRUPTED = 130
_STATUS_REFUSED = 2
_STATUS_FAILED = 70
_STATUS_NO_IO = 74
_STATUS_NO_READER = 141
"""The status that shells report for a broken pipe: 128 plus SIGPIPE's number."""


def plain_console(*, stderr: bool = False) -> Console:
    """Make a console for messages: plain lines, wrapped by the terminal, in which `[b]` and `:cat:` are just text."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)


def standard_error() -> Console:
    """Make the console for messages on standard error."""
    return plain_console(stderr=True)


def shown(text: object) -> str:
    """Return a text for a line of a terminal or log: names and messages may have the terminal's own signs in them."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in str(text))


def ended(command: Callable[[], object]) -> int:
    """Run a command to its end; return the exit status."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  # for as long as the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for a terminal or file whose encoding lacks a character
    return _flushed(_status(command))


def _status(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as end:
        return _exit_status(end)
    except CareCaseError as error:
        _complain(error)
        return _STATUS_REFUSED
    except KeyboardInterrupt:
        return STATUS_INTERRUPTED
    except BrokenPipeError:
        return _STATUS_NO_READER
    except OSError as error:
        return _no_io(error)
    except Exception as error:  # noqa: BLE001  # one of the three edges: no traceback reaches a user
        fields = safe_error_fields(error)
        _say(f"carecase failed: {fields['error']} at {fields['where']}. Please report this line with what you ran.")
        return _STATUS_FAILED
    return 0


def _exit_status(end: SystemExit) -> int:
    if isinstance(end.__context__, BrokenPipeError):
        return _STATUS_NO_READER
    if isinstance(end.code, str):
        _say(end.code)
        return 1
    return end.code or 0


def _flushed(status: int) -> int:
    """Flush the output; return the exit status after that."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = _STATUS_NO_READER
    except OSError as error:
        status = _no_io(error)
    else:
        if status != _STATUS_NO_READER:
            return status
    # so that the interpreter does not try again when it ends
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


def _no_io(error: OSError) -> int:
    """Report an I/O error, such as a full disk or a missing permission."""
    what = f"{error.filename}: " if error.filename else ""
    _say(f"carecase cannot continue: {what}{error.strerror or type(error).__name__}. Fix that, and run it again.")
    return _STATUS_NO_IO


def _complain(error: CareCaseError) -> None:
    if isinstance(error, SettingsError):
        _say("The configuration has mistakes:", style="red")
        for line in str(error).splitlines():
            _say(f"  {line}")
    else:
        _say(str(error), style="red")
    for note in getattr(error, "__notes__", ()):
        _say(note)


def _say(text: str, style: str = "") -> None:
    """Print lines on standard error, if that is writable."""
    lines = "\n".join(map(shown, text.split("\n")))
    with suppress(OSError):
        standard_error().print(lines, style=style)
