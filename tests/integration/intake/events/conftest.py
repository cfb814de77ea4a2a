"""Fixtures: an intake that sends events often, to a few listeners, and records who reads."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.integration.intake.events.following import CHUNK, CHUNKS
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

_numbers = count()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events") / "audit"


@pytest.fixture(scope="module")
def intake(servers: Services, place: Path) -> Iterator[Intake]:
    sections: dict[str, Any] = {
        "jobs": {"chunk_items": CHUNK, "width": CHUNKS},
        "intake": {
            "event_heartbeat_seconds": 0.2,
            "max_event_streams": 4,
            "max_event_streams_per_client": 3,
            "max_wait_seconds": 5,
        },
        "audit": {"directory": str(place)},
    }
    with an_intake(servers.redis_url, f"events{next(_numbers)}:", **sections) as started:
        yield started
