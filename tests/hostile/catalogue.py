"""All attacks, by their names."""

from collections.abc import Mapping

from tests.hostile.attack import Attack
from tests.hostile.bodies import BODIES
from tests.hostile.connections import CONNECTIONS
from tests.hostile.heads import HEADS
from tests.hostile.jobs import JOBS
from tests.hostile.rows import ROWS
from tests.hostile.streams import STREAMS

ATTACKS: Mapping[str, Attack] = {**HEADS, **CONNECTIONS, **BODIES, **ROWS, **JOBS, **STREAMS}
