"""Addresses of clients: one spelling for each client, and the network by which its attempts are counted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# An IPv4 client behind a translator (RFC 6052, the well-known prefix). All IPv4 clients would otherwise share one /64.
_TRANSLATED = IPv6Network("64:ff9b::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")
# Some proxies write the port behind the address (RFC 7239, section 6).
_WITH_PORT = re.compile(r"(?:\[(?P<six>[^]]*)]|(?P<four>[0-9.]+))(?::[0-9]*)?")


@lru_cache(maxsize=4096)  # a request asks several times, and a client comes again
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


def network_of(text: str) -> str:
    """Return a network of clients in its one spelling, such as `192.0.2.0/24`; a single address counts as a network of one.

    IPv4 networks that are written as IPv6 are taken out, as `client_address` does for addresses. Raise ValueError for other text, for a
    zone, and for an address with bits behind its prefix, which is a slip more often than a network.
    """
    if "%" in text:
        raise ValueError("a zone belongs to one machine")
    found = ip_network(text.strip())
    for wide in (_MAPPED, _TRANSLATED):
        if isinstance(found, IPv6Network) and found.subnet_of(wide):
            return str(ip_network((int(found.network_address) & 0xFFFF_FFFF, found.prefixlen - 96)))
    return str(found)


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Return whether a client's address lies in one of the networks. What is no address lies in none."""
    plain = client_address(address)
    return bool(plain) and any(ip_address(plain) in ip_network(one) for one in networks)
