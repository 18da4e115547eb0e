"""A client has one address, however the socket or a proxy spells it."""

from __future__ import annotations

import pytest

from sifilma.kernel.addresses import client_address, network


@pytest.mark.parametrize(
    ("spelled", "address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7", "203.0.113.7"),
        ("64:ff9b::203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("64:ff9b:1::203.0.113.7", "64:ff9b:1::cb00:7107", "64:ff9b:1::/64"),
        ("203.0.113.7:51000", "203.0.113.7", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1", "2001:db8::/64"),
        ("2001:0DB8:0:0:1:2:3:4", "2001:db8::1:2:3:4", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("", "", ""),
        (None, "", ""),
        ("unknown", "", ""),
        ("1.2.3.4.5", "", ""),
        ("x" * 1000, "", ""),
    ],
)
def test_an_address_has_one_spelling(spelled: str | None, address: str, counted: str) -> None:
    assert client_address(spelled) == address
    assert network(spelled or "") == counted
