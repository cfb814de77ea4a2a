"""Rate limit of wrong passwords per address. Pure; the caller passes the time."""

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

_MINUTE_S = 60.0
_MOST_ADDRESSES = 4096
_OTHERS = "others"
"""The shared source of new addresses while the table is full."""


@dataclass(slots=True)
class WrongPasswords:
    """The wrong passwords of each address: a burst, refilled each minute.

    An address over the limit is refused with any password, so that the response does not reveal the right one.
    """

    per_minute: int
    total: int = 0
    most_addresses: int = _MOST_ADDRESSES
    _free_at: dict[str, float] = field(default_factory=dict)
    """Source -> the time, in seconds, at which its wrong passwords are forgotten."""

    def wait_s(self, address: str, now: float) -> float:
        """Return the seconds for which an address is refused; 0 if it may try."""
        delay = max(0.0, self._free_at.get(self._source(address), now) - now)
        # sums of fractions of a minute are not exact
        return max(0.0, round(delay - (_MINUTE_S - self._each_s), 6))

    def note(self, address: str, now: float) -> None:
        """Count a wrong password."""
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
        """Return the source of an address: its own, or the shared one if the table is full."""
        source = source_of(address)
        is_full = len(self._free_at) >= self.most_addresses
        return _OTHERS if is_full and source not in self._free_at else source


def source_of(address: str) -> str:
    """Return an IPv6 address as its /64 network, anything else unchanged.

    One host may have all 2**64 addresses of such a network.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
