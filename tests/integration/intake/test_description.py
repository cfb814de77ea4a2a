"""The published description is the one that was agreed on: clients are made from it, so a change is seen and meant."""

import json
from pathlib import Path

from tests.integration.intake.intakes import an_intake
from tests.plain_http import http_get
from tests.services import Services

AGREED = Path(__file__).parents[2] / "contract" / "openapi.json"


def test_it_is_the_agreed_one(servers: Services, tmp_path: Path) -> None:
    with an_intake(servers.redis_url, "described:") as intake:
        described = http_get(f"{intake.url}/openapi.json").json()
    now = tmp_path / "openapi.json"
    now.write_text(f"{json.dumps(described, indent=1, ensure_ascii=False)}\n", "utf-8")
    assert described == json.loads(AGREED.read_text("utf-8")), f"if the change is meant: cp {now} {AGREED}"
