"""Fixtures: small batches for each dialect."""

from pathlib import Path

import pytest
from tests.integration.targets.grounds import GROUNDS
from tests.integration.worker.attempts import (
    SteppedTargets,
)
from tests.integration.worker.groups.small_batches import Accepted
from tests.services import Services

from carecase_worker.store.job_store import JobStore
from carecase_worker.targets.dialects.registry import DIALECTS


@pytest.fixture(params=[*DIALECTS])
def accepted(request: pytest.FixtureRequest, store: JobStore, servers: Services, tmp_path: Path) -> Accepted:
    targets = SteppedTargets(GROUNDS[request.param].empty(servers, tmp_path))
    targets.prepare()
    store.settle("demo", 0)
    return Accepted(store, targets)
