"""A process in a copy that has the third parties' packages loaded, and forks for each run of tests.

A run of a few unit tests takes seconds to load these, and less for all else. The package itself is not loaded before
the fork. Each line of the input is a run, as JSON: the file for the output, pytest's arguments, and the seconds after
which a test has failed, by name or file. Each line of the output is the status of a run that has ended.
"""

import json
import os
import sys
from contextlib import suppress
from importlib import import_module

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
    sys.exit(pytest.main(arguments, [_Limits(limits)]))


class _Limits:
    """A plugin of pytest: a test that hangs fails after a limit of its own."""

    def __init__(self, limits: dict[str, float]) -> None:
        self._limits = limits

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Set the limit for a test."""
        name, file = item.nodeid.partition("[")[0], item.nodeid.partition("::")[0]
        if seconds := self._limits.get(name) or self._limits.get(file):
            item.add_marker(pytest.mark.timeout(seconds), append=False)


if __name__ == "__main__":
    main()
