"""Bytes that bodies decode to far beyond what was sent of them: a client has a bucket of them, in each process."""

from dataclasses import dataclass


@dataclass(slots=True)
class Inflation:
    """A bucket, kept as the one moment at which it is full again; moments are seconds of any clock."""

    per_second: float
    burst: int
    _full_at: float = 0.0

    def spend(self, size: int, now: float) -> None:
        """Count bytes that have been decoded."""
        self._full_at = max(self._full_at, now) + size / self.per_second

    def wait(self, now: float) -> float:
        """Tell for how many seconds nothing more may be decoded: until what was spent is no more than the burst."""
        return max(0.0, self._full_at - now - self.burst / self.per_second)
