"""Addresses of clients: one spelling for each client, and the network by which its attempts are counted."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# An IPv4 client behind a translator (RFC 6052, the well-known prefix). All IPv4 clients would otherwise share one /64.
_TRANSLATED = IPv6Network("64:ff9b::/96")
# Some proxies write the port behind the address (RFC 7239, section 6).
_WITH_PORT = re.compile(r"(?:\[(?P<six>[^]]*)]|(?P<four>[0-9.]+))(?::[0-9]*)?")


def client_address(text: str | None) -> str:
    """Return the address of a client in its shortest spelling: at most 39 characters; empty if the text is no address.

    An IPv4 address in an IPv6 one is taken out: mapped (`::ffff:a.b.c.d`) as a socket for both families reports it, or translated
    (`64:ff9b::a.b.c.d`). A port and a zone (`%eth0`) are left out.
    """
    typed = (text or "").strip()
    if found := _WITH_PORT.fullmatch(typed):
        typed = found["six"] or found["four"] or ""
    try:
        address = ip_address(typed.partition("%")[0])
    except ValueError:
        return ""
    return str(_unwrapped(address))


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def network(address: str) -> str:
    """Return the network of an address for counting: an IPv4 address itself, the /64 of an IPv6 address, empty for no address.

    An IPv6 line has at least a /64 and changes its address within it at will.
    """
    plain = client_address(address)
    return str(ip_network((plain, 64), strict=False)) if ":" in plain else plain
