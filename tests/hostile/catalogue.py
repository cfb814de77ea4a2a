"""All attacks, by their names."""

from collections.abc import Mapping

from tests.hostile.attack import Attack
from tests.hostile.bodies import BODIES
from tests.hostile.connections import CONNECTIONS
from tests.hostile.heads import HEADS
from tests.hostile.jobs import JOBS

ATTACKS: Mapping[str, Attack] = {**HEADS, **CONNECTIONS, **BODIES, **JOBS}
