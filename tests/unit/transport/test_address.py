"""Addresses: whom one stands for."""

from __future__ import annotations

import pytest

from relay_parsl.transport.address import source


@pytest.mark.parametrize(
    ('address', 'whom'),
    [
        ('127.0.0.1', '127.0.0.1'),
        ('::ffff:192.0.2.1', '192.0.2.1'),
        ('2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'),
        ('2001:db8:1:2::9', '2001:db8:1:2::/64'),
        ('fe80::1%eth0', 'fe80::/64'),
        ('', ''),
        ('no address', 'no address'),
    ],
)
def test_whom_an_address_stands_for(address: str, whom: str) -> None:
    assert source(address) == whom
