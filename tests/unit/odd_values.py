"""Values of programs that are not what they seem: of pandas, numpy, Arrow and others, without these."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any


class Timestamp(datetime):
    """A subclass of datetime that writes nanoseconds, as pandas.Timestamp."""

    def isoformat(self, *_: Any) -> str:
        return "2026-01-02T03:04:05.123456789"


class NotATime(datetime):
    """A datetime that is unequal to itself, as pandas.NaT."""

    def __eq__(self, _: object) -> bool:
        return False

    def __ne__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class NotAvailable:
    """A value that does not know if it equals itself, as pandas.NA."""

    def __eq__(self, _: object) -> Any:
        return self

    def __ne__(self, _: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


class Moment:
    """A point in time that is no datetime, as those of the library Arrow."""

    year = 2026

    def isoformat(self) -> str:
        return "2026-01-02T03:04:05+00:00"


class ScalarOfArrow:
    """A value that gives itself by `as_py`, as those of pyarrow."""

    def __init__(self, held: Any) -> None:
        self._held = held

    def as_py(self) -> Any:
        return self._held


class Undecided:
    """A value that cannot be compared, as those of symbolic mathematics."""

    def __ne__(self, _: object) -> Any:
        return NotAvailable()

    __hash__ = None  # type: ignore[assignment]


class Scalar:
    """A number that gives itself by `item`, as numpy's do; `kind` is that of its dtype."""

    shape = ()

    def __init__(self, held: Any, kind: str = "i", year: int = 2026) -> None:
        self._held = held
        self._year = year
        self.dtype = SimpleNamespace(kind=kind)

    def item(self) -> Any:
        return self._held

    def __ne__(self, other: object) -> Any:
        return self._held != self._held

    def __eq__(self, other: object) -> bool:
        return bool(self._held == self._held)

    def astype(self, unit: str) -> Any:
        if unit == "datetime64[Y]":
            return SimpleNamespace(astype=lambda _: self._year - 1970)
        assert unit == "datetime64[us]"
        return "2026-01-02T03:04:05.123456"

    __hash__ = None  # type: ignore[assignment]


class Array(Scalar):
    """Many values, as numpy.ndarray and pandas.Series, or one that is no scalar."""

    shape = (1,)  # type: ignore[assignment]


class LongDouble:
    """A number that `item` leaves as it is, as numpy.longdouble."""

    shape = ()

    def item(self) -> Any:
        return self

    def __float__(self) -> float:
        return 1.5


class Index:
    """A number of somebody's own."""

    def __index__(self) -> int:
        return 7


class FloatOfPandas(float):
    """A subclass of float, as numpy.float64."""

    def __repr__(self) -> str:
        return "np.float64(…)"

    __str__ = __repr__
