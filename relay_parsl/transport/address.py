"""Addresses as libzmq takes them, checked before it does."""

from __future__ import annotations

import errno
import re
from ipaddress import IPv6Address, ip_address, ip_network

_ADDRESS = re.compile(r'tcp://(\*|[^\s/:]+|\[[0-9a-fA-F:.%]+\]):(\*|\d{1,5})')


def is_address(url: str) -> bool:
    """Whether it is `tcp://host:port`. Any number is a port for libzmq, which cuts it to 16 bits (measured): so it is checked here."""
    parts = _ADDRESS.fullmatch(url)
    return parts is not None and (parts[2] == '*' or int(parts[2]) < 1 << 16)


def bind_failure(bind: str, code: int | None, reason: object) -> str:
    """Why one cannot listen there, by the system's number of the error and its words, and what to do."""
    if code == errno.EADDRINUSE:
        return f'{bind} is in use: stop the other relay (relay-parsl relay stop) or choose another port with --bind'
    return f'cannot listen on {bind!r}: {reason}; --bind takes tcp://ADDRESS:PORT of this machine'


def source(address: str) -> str:
    """Whom an address stands for: of IPv6 the network of 64 bits, which one host has to itself."""
    try:
        found = ip_address(address.partition('%')[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((int(found) >> 64 << 64, 64)))
