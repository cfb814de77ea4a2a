"""A process in a copy that has the third parties' packages loaded, and forks for each run of tests.

A run of a few unit tests takes seconds to load these, and less for all else. The package itself is not loaded before
the fork. Each line of the input is a run, as JSON: the file for the output, and pytest's arguments. Each line of the
output is the status of a run that has ended.
"""

import json
import os
import sys
from contextlib import suppress
from importlib import import_module

_LOADED = (
    "pytest", "_pytest.doctest", "_pytest.junitxml", "_hypothesis_pytestplugin", "hypothesis", "anyio.pytest_plugin",
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
        output, arguments = json.loads(line)
        child = os.fork()
        if not child:
            _run(output, arguments)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(output: str, arguments: list[str]) -> None:
    os.setsid()
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, opened in ((0, nothing), (1, written), (2, written)):
        os.dup2(opened, number)
    import pytest  # noqa: PLC0415  # loaded above

    sys.exit(pytest.main(arguments))


if __name__ == "__main__":
    main()
