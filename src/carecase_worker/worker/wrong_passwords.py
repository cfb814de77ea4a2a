"""The bound on wrong passwords: how often one address may be wrong. Pure; whoever asks brings the time."""

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

_MINUTE_S = 60.0
_MOST_ADDRESSES = 4096
_OTHERS = "others"
"""Stands for every address that comes when the table is full."""


@dataclass(slots=True)
class WrongPasswords:
    """The wrong passwords of each address: so many at once, and as many in each minute after.

    Whoever has used them up is refused, whatever password comes: else the right one would be told by the answer.
    """

    per_minute: int
    total: int = 0
    most_addresses: int = _MOST_ADDRESSES
    _free_at: dict[str, float] = field(default_factory=dict)
    """Source -> the moment, in seconds, at which nothing is held against it any more."""

    def wait_s(self, address: str, now: float) -> float:
        """The seconds for which an address is refused; 0 if it may try."""
        held = max(0.0, self._free_at.get(self._source(address), now) - now)
        # sums of parts of a minute are not exact
        return max(0.0, round(held - (_MINUTE_S - self._each_s), 6))

    def note(self, address: str, now: float) -> None:
        """Note one more wrong password."""
        self.total += 1
        if len(self._free_at) >= self.most_addresses:
            self._free_at = {source: until for source, until in self._free_at.items() if until > now}
        source = self._source(address)
        until = max(now, self._free_at.get(source, now)) + self._each_s
        self._free_at[source] = min(until, now + _MINUTE_S)

    @property
    def addresses(self) -> int:
        """The number of sources that are remembered."""
        return len(self._free_at)

    @property
    def _each_s(self) -> float:
        return _MINUTE_S / self.per_minute

    def _source(self, address: str) -> str:
        """The source that an address counts as: whoever has an IPv6 address has 2**64 of them."""
        source = source_of(address)
        is_full = len(self._free_at) >= self.most_addresses
        return _OTHERS if is_full and source not in self._free_at else source


def source_of(address: str) -> str:
    """An IPv4 address as it is, of an IPv6 address the network of 64 bits, and whatever is no address as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
