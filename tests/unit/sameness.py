"""The comparison of two verdicts on an item."""

from datetime import datetime
from math import copysign
from typing import Any


def same(got: Any, want: Any) -> bool:
    """Whether two verdicts are the same to the microsecond, the sign of zero and the type."""
    if not isinstance(want, dict) or not isinstance(got, dict):
        return bool(got == want)
    return got.keys() == want.keys() and all(_same_value(got[name], value) for name, value in want.items())


def _same_value(got: Any, want: Any) -> bool:
    if isinstance(want, datetime):
        return type(got) is datetime and got == want and got.utcoffset() == want.utcoffset()
    if isinstance(want, float):
        return type(got) is float and got == want and (want != 0 or copysign(1, got) == copysign(1, want))
    return type(got) is type(want) and got == want
