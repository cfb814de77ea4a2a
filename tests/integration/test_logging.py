"""Lines of the log as a process of this service writes them, whole: allowed fields only, of strangers one line."""

import json
import re
import subprocess
import sys

import pytest

from carecase_worker.settings.loading import process_environment

PROGRAM = """
import logging, sys, warnings
from carecase_worker.settings.model import LogSettings
from carecase_worker.telemetry import configure_logging, logger
configure_logging(LogSettings.model_validate({"level": sys.argv[1], "format": sys.argv[2]}))
ours = logger("ours")
ours.debug("a detail", items=1)
ours.info("chunk applied", job_id="j", chunk_no=3, case_reason="MARK", items=2)
logging.getLogger("theirs").warning("first %s", "line\\nMARK", extra={"value": "MARK"})
try:
    raise ValueError("MARK")
except ValueError:
    logging.getLogger("theirs").exception("it failed")
    ours.error("ours failed", error="ValueError", where="here", value="MARK")
for noisy in ("httpx", "httpcore", "alembic", "celery.worker.strategy", "celery.app.trace", "tornado.access"):
    logging.getLogger(noisy).info("MARK")
    logging.getLogger(noisy).warning("%s warns", noisy)
logging.getLogger("opentelemetry.exporter.otlp").error("MARK")
connections = logging.getLogger("uvicorn.error.connection")
connections.warning("MARK")
connections.error("a connection fails")
warnings.warn("be warned\\nMARK", stacklevel=1)
print("done")
"""
NOISY = ("httpx", "httpcore", "alembic", "celery.worker.strategy", "celery.app.trace", "tornado.access")


def written(level: str, form: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, level, form],
        env=process_environment(), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert ran.stdout == "done\n", "the log goes to standard error"
    assert "MARK" not in ran.stderr
    return ran.stderr.splitlines()


def test_a_line_is_a_json_object_with_allowed_fields_only() -> None:
    lines = [json.loads(line) for line in written("info", "json")]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    warned = lines.pop()
    assert warned["level"] == "warning"
    assert "be warned" in warned["event"]
    assert lines == [
        {"event": "chunk applied", "level": "info", "job_id": "j", "chunk_no": 3, "items": 2},
        {"event": "first line", "level": "warning"},
        {"event": "it failed", "level": "error", "error": "ValueError"},
        {"event": "ours failed", "level": "error", "error": "ValueError", "where": "here"},
        *({"event": f"{noisy} warns", "level": "warning"} for noisy in NOISY),
        {"event": "a connection fails", "level": "error"},
    ]


@pytest.mark.parametrize(("level", "first"), [("debug", "a detail"), ("warning", "first line"), ("error", "it failed")])
def test_only_what_is_of_the_level_is_written(level: str, first: str) -> None:
    line = json.loads(written(level, "json")[0])
    assert line["event"] == first


def test_a_line_for_people_is_no_json() -> None:
    line = written("info", "console")[0]
    assert re.fullmatch(r"\S+Z \[info +\] chunk applied +chunk_no=3 items=2 job_id=j", line)
