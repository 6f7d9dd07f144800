"""Addresses, interfaces and default routes by rtnetlink: short blocking exchanges on a socket of their own.

The network namespace is that of the calling thread. Messages are read and written here, not by pyroute2: a daemon asks
every few seconds, and a host may have hundreds of interfaces.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from dnslb.real_server.seen import LOOPBACK, RT_SCOPE_HOST, Address, DefaultRoute, Interface
from pyvrrp.core.events import IPAddress

LABEL = f"{LOOPBACK}:dnslb".encode()
_MARK = bytes([18])
"IFA_PROTO of VRRP speakers, and ours: RTPROT_KEEPALIVED"
FOREVER = 0xFFFFFFFF
_TIMEOUT = 2.0
"seconds for an answer of the kernel: it answers at once unless another program holds the networking lock"
_ATTEMPTS = 5
"dumps until one was not disturbed by changes"
_BUFFER = 1 << 18

_RTM_GETLINK, _RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR, _RTM_GETROUTE = 18, 20, 21, 22, 26
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP_INTR, _NLM_F_REPLACE, _NLM_F_DUMP, _NLM_F_CREATE = 1, 4, 16, 256, 768, 1024
_IFF_UP, _IFF_LOOPBACK, _IFF_NOARP = 0x1, 0x8, 0x80
_IFA_F_NODAD, _IFA_F_PERMANENT = 0x02, 0x80
_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_CACHEINFO, _IFA_FLAGS, _IFA_PROTO = 1, 2, 3, 6, 8, 11
_RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH, _RTA_VIA = 4, 5, 6, 9, 18
_RT_TABLE_MAIN, _RTN_UNICAST = 254, 1

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")
_UINT32 = struct.Struct("=I")
_IFINFOMSG = struct.Struct("=BxHiII")
_IFADDRMSG = struct.Struct("=BBBBI")
"family, prefixlen, flags, scope, index"
_CACHEINFO = struct.Struct("=IIII")
_RTMSG = struct.Struct("=8BI")
"family, dst_len, src_len, tos, table, protocol, scope, type, flags"
_NEXT_HOP = struct.Struct("=HBBi")
"struct rtnexthop: length, flags, hops, index"
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

_T = TypeVar("_T")


class RtnetlinkError(OSError):
    """The kernel refused: errno, and what was asked for."""


class Rtnetlink:
    """One socket; use it in a `with` block, in one thread. Everything raises RtnetlinkError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(_TIMEOUT)
        self._socket.bind((0, 0))
        self._number = 0

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def interfaces(self) -> dict[int, Interface]:
        """All interfaces, by index."""
        return {each.index: each for each in self._dump(_RTM_GETLINK, _IFINFOMSG.size, _interface)}

    def addresses(self, interfaces: Mapping[int, Interface]) -> list[Address]:
        """All addresses on these interfaces."""
        return self._dump(_RTM_GETADDR, _IFADDRMSG.size, lambda data: _address(data, interfaces))

    def default_routes(self, interfaces: Mapping[int, Interface]) -> list[DefaultRoute]:
        """The next hops of the main table's best default routes."""
        found: list[DefaultRoute] = []
        for version, family in _FAMILIES.items():
            routes = self._dump(_RTM_GETROUTE, _RTMSG.size, _default_route, family)
            lowest = min((metric for metric, _ in routes), default=0)
            found += [
                DefaultRoute(interface=interfaces[index].name, family=version, gateway=gateway)
                for metric, hops in routes
                for index, gateway in hops
                if metric == lowest and index in interfaces
            ]
        return found

    def put_on_loopback(self, address: IPAddress, seconds: int | None) -> None:
        """Add the whole address to lo, or renew it; None: without a lifetime.

        It is deprecated from the start, and IPv4 has scope host: nothing chooses it as a source by itself.
        """
        scope = RT_SCOPE_HOST if address.version == 4 else 0
        flags = _IFA_F_NODAD if address.version == 6 else 0
        body = _on_loopback(address, scope, flags)
        body += _attribute(_IFA_CACHEINFO, _CACHEINFO.pack(0, FOREVER if seconds is None else seconds, 0, 0))
        body += _attribute(_IFA_PROTO, _MARK)
        if address.version == 4:
            body += _attribute(_IFA_LABEL, LABEL + b"\0")
        try:
            self._ask(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_REPLACE, body, f"add {address} to {LOOPBACK}")
        except RtnetlinkError as error:
            if error.errno != errno.EACCES:
                raise
            why = f"IPv6 is switched off there; `sysctl -w net.ipv6.conf.{LOOPBACK}.disable_ipv6=0`"
            raise RtnetlinkError(errno.EAFNOSUPPORT, f"can't add {address} to {LOOPBACK}: {why}") from None

    def take_off_loopback(self, address: IPAddress) -> None:
        """Delete the whole address from lo; gone already is fine."""
        try:
            self._ask(_RTM_DELADDR, 0, _on_loopback(address, 0, 0), f"remove {address} from {LOOPBACK}")
        except RtnetlinkError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise

    def _ask(self, kind: int, flags: int, body: bytes, what: str) -> None:
        number = self._send(kind, _NLM_F_REQUEST | _NLM_F_ACK | flags, body)
        for answer, answered, _, data in self._receive():
            if (answer, answered) == (_NLMSG_ERROR, number):
                if code := -_ERROR.unpack_from(data, _HEADER.size)[0]:
                    raise RtnetlinkError(code, f"can't {what}: {os.strerror(code)}")
                return

    def _dump(self, kind: int, size: int, read: Callable[[bytes], _T | None], family: int = 0) -> list[_T]:
        """All messages that can be read as something."""
        for _ in range(_ATTEMPTS):
            number = self._send(kind, _NLM_F_REQUEST | _NLM_F_DUMP, bytes([family]) + bytes(size - 1))
            found, disturbed = [], False
            for answer, answered, flags, data in self._receive():
                if answered != number:
                    continue
                disturbed = disturbed or bool(flags & _NLM_F_DUMP_INTR)
                if answer == _NLMSG_DONE:
                    break
                if answer == _NLMSG_ERROR:
                    code = -_ERROR.unpack_from(data, _HEADER.size)[0]
                    raise RtnetlinkError(code, f"can't list what the kernel has: {os.strerror(code)}")
                if (each := read(data)) is not None:
                    found.append(each)
            if not disturbed:
                break
        return found

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        self._number += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._number, 0) + body)
        return self._number

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, sequence number, flags and the whole of each message."""
        while True:
            try:
                datagram = self._socket.recv(_BUFFER)
            except TimeoutError:
                raise RtnetlinkError(errno.ETIMEDOUT, f"no answer of the kernel within {_TIMEOUT:g} s") from None
            offset = 0
            while offset + _HEADER.size <= len(datagram):
                length, kind, flags, number, _ = _HEADER.unpack_from(datagram, offset)
                yield kind, number, flags, datagram[offset : offset + length]
                offset += max(_HEADER.size, length + -length % 4)


def _interface(data: bytes) -> Interface:
    _, _, index, flags, _ = _IFINFOMSG.unpack_from(data, _HEADER.size)
    attributes = _attributes(data, _HEADER.size + _IFINFOMSG.size)
    return Interface(
        index=index,
        name=attributes[_IFLA_IFNAME].rstrip(b"\0").decode(errors="replace"),
        up=bool(flags & _IFF_UP),
        mac=attributes.get(_IFLA_ADDRESS, b""),
        resolves=not flags & (_IFF_LOOPBACK | _IFF_NOARP),
    )


def _address(data: bytes, interfaces: Mapping[int, Interface]) -> Address | None:
    _, prefixlen, short_flags, scope, index = _IFADDRMSG.unpack_from(data, _HEADER.size)
    attributes = _attributes(data, _HEADER.size + _IFADDRMSG.size)
    if index not in interfaces:
        return None
    flags = _UINT32.unpack(attributes[_IFA_FLAGS])[0] if _IFA_FLAGS in attributes else short_flags
    return Address(
        interface=interfaces[index].name,
        address=_ip(attributes.get(_IFA_LOCAL) or attributes[_IFA_ADDRESS]),
        prefixlen=prefixlen,
        scope=scope,
        leased=not flags & _IFA_F_PERMANENT,
        marked=attributes.get(_IFA_PROTO) == _MARK or attributes.get(_IFA_LABEL, b"").rstrip(b"\0") == LABEL,
    )


def _default_route(data: bytes) -> tuple[int, list[tuple[int, IPAddress | None]]] | None:
    """Its metric, and the interface and gateway of each next hop."""
    _, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(data, _HEADER.size)
    if (length, table, kind) != (0, _RT_TABLE_MAIN, _RTN_UNICAST):
        return None
    attributes = _attributes(data, _HEADER.size + _RTMSG.size)
    hops = list(_next_hops(attributes.get(_RTA_MULTIPATH, b"")))
    if _RTA_OIF in attributes:
        hops.append((_UINT32.unpack(attributes[_RTA_OIF])[0], _gateway(attributes)))
    metric: int = _UINT32.unpack(attributes.get(_RTA_PRIORITY, bytes(4)))[0]
    return metric, hops


def _next_hops(data: bytes) -> Iterator[tuple[int, IPAddress | None]]:
    offset = 0
    while offset + _NEXT_HOP.size <= len(data):
        length, _, _, index = _NEXT_HOP.unpack_from(data, offset)
        yield index, _gateway(_attributes(data[: offset + length], offset + _NEXT_HOP.size))
        offset += max(_NEXT_HOP.size, length + -length % 4)


def _gateway(attributes: Mapping[int, bytes]) -> IPAddress | None:
    """RTA_VIA has an address of the other family, behind its number."""
    found = attributes.get(_RTA_GATEWAY) or attributes.get(_RTA_VIA, b"")[2:]
    return _ip(found) if found else None


def _ip(packed: bytes) -> IPAddress:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _attributes(data: bytes, offset: int) -> dict[int, bytes]:
    found = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _on_loopback(address: IPAddress, scope: int, flags: int) -> bytes:
    index = socket.if_nametoindex(LOOPBACK)
    head = _IFADDRMSG.pack(_FAMILIES[address.version], address.max_prefixlen, flags, scope, index)
    return head + _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed)
