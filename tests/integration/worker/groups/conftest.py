"""Fixtures: small batches for each dialect."""

from pathlib import Path

import pytest
from tests.integration.targets.grounds import GROUNDS
from tests.integration.worker.attempts import (
    SteppedTargets,
)
from tests.integration.worker.groups.small_batches import Accepted
from tests.services import Services
from tests.stores import Stores

from carecase_worker.targets.dialects.registry import DIALECTS


@pytest.fixture(params=[*DIALECTS])
def accepted(request: pytest.FixtureRequest, store: Stores, servers: Services, tmp_path: Path) -> Accepted:
    targets = SteppedTargets(GROUNDS[request.param].empty(servers, tmp_path))
    targets.prepare()
    store.leases.settle("demo", 0)
    return Accepted(store, targets)
