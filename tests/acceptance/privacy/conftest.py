"""Fixtures: a system that seals its chunks and is traced."""

import base64
import os
from collections.abc import Iterator

import pytest
from tests.acceptance.privacy.marked_cases import TRIGGER
from tests.acceptance.system import System, running
from tests.collector import Collector, collecting


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture(scope="package")
def sealed(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[System]:
    """A system that seals its chunks, is traced, and whose PostgreSQL refuses some cases.

    Its environment asks for FastAPI's own telemetry, too, which would tell what it refuses.
    """
    key = base64.b64encode(os.urandom(32)).decode()
    variables = {
        "CARECASE_ENCRYPTION_KEYS": f"k1:{key}",
        "CARECASE_TRACING_ENDPOINT": collector.url,
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/framework",
    }
    place = tmp_path_factory.mktemp("sealed")
    with running(place, "--workers", "1", **variables) as started:
        for statement in TRIGGER:
            started.execute(statement)
        yield started
