"""Which address of this node a probe asks from: its own, never a VIP."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from dnslb.health.sockets import socket_address
from pyvrrp.core.events import IPAddress

_SIOCGIFADDR = 0x8915
_IF_INET6 = Path("/proc/thread-self/net/if_inet6")
_TENTATIVE, _DEPRECATED, _DAD_FAILED = 0x40, 0x20, 0x08
"flags of an address (linux/if_addr.h)"


def own_address(family: int, interface: str, server: IPAddress, vips: Collection[IPAddress]) -> IPAddress | None:
    """The source that the kernel would take towards `server`, else another of the interface; None: there is none."""
    if server.version == family and (routed := _routed(server)) and routed not in vips:
        return routed
    if family == 4:
        first = _first_ipv4(interface)
        return None if first in vips else first
    return next((address for address in _ipv6(interface) if address not in vips), None)


def _routed(server: IPAddress) -> IPAddress | None:
    """What the route to `server` says."""
    with socket.socket(socket.AF_INET if server.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(socket_address(server, 53))
        except OSError:
            return None
        return ip_address(sock.getsockname()[0].partition("%")[0])


def _first_ipv4(interface: str) -> IPv4Address | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            request = fcntl.ioctl(sock, _SIOCGIFADDR, struct.pack("16s24x", interface.encode()))
        except OSError:
            return None
    return IPv4Address(request[20:24])


def _ipv6(interface: str) -> list[IPv6Address]:
    """The usable addresses of an interface, those of the widest scope first."""
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:  # no IPv6 in this kernel
        return []
    found = []
    for line in lines:
        address, _, _, scope, flags, name = line.split()
        if name == interface and not int(flags, 16) & (_TENTATIVE | _DEPRECATED | _DAD_FAILED):
            found.append((int(scope, 16), IPv6Address(bytes.fromhex(address))))
    return [address for _, address in sorted(found)]
