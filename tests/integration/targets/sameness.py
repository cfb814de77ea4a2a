"""The comparison of a value that a database holds with the one that was written."""

from datetime import UTC, datetime
from math import copysign
from typing import Any

from sqlalchemy import Engine
from tests.integration.targets.grounds import ground_of


def same(got: Any, want: Any, engine: Engine) -> bool:
    """Whether a database holds a value; some keep no offsets, but everything in UTC, and some no negative zero."""
    if isinstance(want, datetime):
        return bool((got if ground_of(engine).keeps_offsets else got.replace(tzinfo=UTC)) == want)
    if want == 0 and isinstance(want, float) and ground_of(engine).keeps_negative_zero:
        return bool(got == 0 and copysign(1, got) == copysign(1, want))
    return bool(got == want and type(got) is type(want))
