"""A Flower as a process, and its routes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from flower.urls import handlers
from tests.acceptance.system import eventually
from tests.plain_http import http_get

USER, PASSWORD = "ops, people", 'a,b:c %41#d ü "quoted" $(x) --read_only=false'
COMMAND = (sys.executable, "-m", "carecase_worker", "flower")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


@contextmanager
def running(environment: dict[str, str], place: Path) -> "Iterator[tuple[str, int]]":
    """Run a Flower; its address and its process id."""
    url = f"http://127.0.0.1:{environment['CARECASE_FLOWER_PORT']}"
    with subprocess.Popen(COMMAND, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:

        def serves() -> bool:
            assert process.poll() is None, process.communicate()[1]
            try:
                return http_get(f"{url}/tools/flower/healthcheck").status_code == 200
            except httpx.TransportError:
                return False

        try:
            eventually(serves, 120)
            yield url, process.pid
        finally:
            process.terminate()
            output = process.communicate(timeout=60)[1]
            assert process.returncode == 0
            assert "Traceback" not in output


def routes() -> list[str]:
    """A path for each of Flower's routes, below its prefix."""
    patterns = [handler.regex.pattern if hasattr(handler, "regex") else handler[0] for handler in handlers]
    paths = [re.sub(r"\(\.[+*]\)|\.\*", "x", pattern.rstrip("$")).replace("/?", "") for pattern in patterns]
    assert {"/metrics", "/healthcheck", "/api/workers", "/static/x", "/login", "x"} <= set(paths)
    return [path if path.startswith("/") else f"/{path}" for path in paths if path != "/healthcheck"]


TASKS, WORKERS = 15_000, 1_500
"""Three times what it keeps."""
