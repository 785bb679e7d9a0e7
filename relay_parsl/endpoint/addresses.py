"""Which address of this host its nodes dial. Parsl's own look-up leaves a socket open; everything else of `parsl.addresses` serves as it is."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys

SIOCGIFADDR = 0xC0206921 if sys.platform == 'darwin' else 0x8915  # net/if.h


def address_by_interface(ifname: str) -> str:
    """The IPv4 address of a network interface of this host, like `hsn0`.

    Raises:
        OSError: There is no such interface, or it has no such address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = fcntl.ioctl(asked.fileno(), SIOCGIFADDR, struct.pack('256s', ifname[:15].encode()))
    return socket.inet_ntoa(answer[20:24])
