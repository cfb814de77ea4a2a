"""Addresses that webhooks may connect to: public ones, and permitted private ones (protection from SSRF). No I/O."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_TRANSLATED = ip_network("64:ff9b::/96")
"""IPv6 addresses that embed an IPv4 address (NAT64)."""

Address = IPv4Address | IPv6Address


def permitted(resolved: Iterable[str], private_networks: Sequence[str], is_encrypted: bool) -> str | None:
    """Return the first address that may be connected to; None if there is none.

    Without TLS only permitted private addresses are allowed.
    """
    networks = [ip_network(network) for network in private_networks]
    for text in resolved:
        address = ip_address(text.partition("%")[0])
        is_private_permitted = any(_plain(address) in network for network in networks)
        if is_private_permitted or (is_encrypted and _is_public(address)):
            return text
    return None


def _is_public(address: Address) -> bool:
    plain = _plain(address)
    if isinstance(plain, IPv6Address) and (plain.sixtofour or plain.teredo or plain.is_site_local):
        return False
    return plain.is_global and not (plain.is_multicast or plain.is_reserved or plain.is_unspecified)


def _plain(address: Address) -> Address:
    """Return the IPv4 address embedded in an IPv6 address, or else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _TRANSLATED:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
