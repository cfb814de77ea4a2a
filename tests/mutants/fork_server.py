"""A process in a copy that has the third parties' packages loaded, and forks for each run of tests.

A run of a few unit tests takes seconds to load these, and less for all else. The package itself is not loaded before
the fork. Each line of the input is a run, as JSON: the file for the output, pytest's arguments, and the seconds after
which a test has failed, by name or file. Each line of the output is the status of a run that has ended.
"""

import json
import os
import sys
from collections.abc import Generator
from contextlib import suppress
from importlib import import_module
from threading import Timer

import pytest

_LOADED = (
    "_pytest.doctest", "_pytest.junitxml", "_hypothesis_pytestplugin", "hypothesis", "anyio.pytest_plugin",
    "pytest_timeout", "xdist.plugin", "psutil", "httpx", "msgspec.json", "pydantic", "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite", "psycopg", "alembic.command", "redis", "celery", "kombu", "zstandard",
    "cryptography.fernet", "jwt", "fastapi.openapi.utils", "starlette.responses", "structlog", "typer", "rich.console",
    "prometheus_client",
)  # fmt: skip


def main() -> None:
    """Fork for each line that comes."""
    for name in _LOADED:
        with suppress(ImportError):
            import_module(name)
    for line in sys.stdin:
        output, arguments, limits = json.loads(line)
        child = os.fork()
        if not child:
            _run(output, arguments, limits)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(output: str, arguments: list[str], limits: dict[str, float]) -> None:
    os.setpgid(0, 0)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, opened in ((0, nothing), (1, written), (2, written)):
        os.dup2(opened, number)
    sys.exit(pytest.main(arguments, [_Limits(limits, written)]))


class _Limits:
    """A plugin of pytest: a test that hangs fails after a limit of its own.

    A call of a library that never ends, such as a query of SQLite, cannot be interrupted: the run ends then.
    """

    def __init__(self, limits: dict[str, float], output: int) -> None:
        self._limits = limits
        self._output = output

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Set the limit for a test."""
        if seconds := self._limit(item):
            item.add_marker(pytest.mark.timeout(seconds), append=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """End the run with a test that has not failed long after its limit."""
        seconds = self._limit(item)
        if not seconds:
            return (yield)
        timer = Timer(2 * seconds, self._give_up, (item.nodeid, seconds))
        timer.daemon = True
        timer.start()
        try:
            return (yield)
        finally:
            timer.cancel()

    def _limit(self, item: pytest.Item) -> float | None:
        name, file = item.nodeid.partition("[")[0], item.nodeid.partition("::")[0]
        return self._limits.get(name) or self._limits.get(file)

    def _give_up(self, test: str, seconds: float) -> None:
        os.write(self._output, f"\nFAILED {test} - Timeout (>{seconds}s), and it cannot be interrupted\n".encode())
        os._exit(1)


if __name__ == "__main__":
    main()
