"""What the balancer reads from the kernel and asks of it: links, own addresses, neighbours, routes; pure.

Only the attributes that are needed are read: a host may have thousands of neighbours, and each event is looked at.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from pyvrrp.core.events import IPAddress

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
GROUPS = 0x1 | 0x4 | 0x10 | 0x100
"RTMGRP_LINK, RTMGRP_NEIGH, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR"
DUMPS = (RTM_GETLINK, RTM_GETADDR, RTM_GETNEIGH)

_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_CREATE, _NLM_F_DUMP_INTR = 1, 0x300, 0x400, 0x10
_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NDA_DST, _NDA_LLADDR = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_VIA = 1, 4, 5, 18
_RTN_UNICAST, _RTN_LOCAL = 1, 2
_NTF_USE = 0x01
"as if a packet were to be sent there"
_IFF_UP = 1

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_IFINFOMSG = struct.Struct("=BxHiII")
_IFADDRMSG = struct.Struct("=BBBBI")
_NDMSG = struct.Struct("=BxxxiHBB")
"family, index, state, flags, type"
_RTMSG = struct.Struct("=8BI")
"family, dst_len, src_len, tos, table, protocol, scope, type, flags"
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class Nud(IntEnum):
    """States of a neighbour entry that are told apart (linux/neighbour.h)."""

    INCOMPLETE = 0x01
    FAILED = 0x20


USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
"NUD_REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT: the entry has a MAC that was right at some time"


@dataclass(frozen=True, slots=True)
class Link:
    """An interface."""

    index: int
    name: str
    mac: bytes
    up: bool


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An address of this node."""

    index: int
    address: IPAddress
    prefixlen: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of the neighbour table."""

    index: int
    address: IPAddress
    state: int
    mac: bytes


@dataclass(frozen=True, slots=True)
class Gone:
    """It is there no more."""

    what: Link | OwnAddress | Neighbour


@dataclass(frozen=True, slots=True)
class End:
    """The end of a dump; `disturbed`: something changed meanwhile, it may be incomplete."""

    number: int
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an address."""

    index: int
    "of the interface"
    gateway: IPAddress | None
    local: bool
    "it is an address of this node"


Fact = Link | OwnAddress | Neighbour | Gone | End


def dump_request(what: int, number: int) -> bytes:
    """Ask for all of a kind, one of DUMPS."""
    return _message(what, _NLM_F_REQUEST | _NLM_F_DUMP, number, bytes(_IFINFOMSG.size))


def probe_request(index: int, address: IPAddress) -> bytes:
    """Have the kernel find out whether a neighbour is still there; without an acknowledgement."""
    body = _NDMSG.pack(_FAMILIES[address.version], index, 0, _NTF_USE, 0) + _attribute(_NDA_DST, address.packed)
    return _message(RTM_NEWNEIGH, _NLM_F_REQUEST | _NLM_F_CREATE, 0, body)


def route_request(address: IPAddress) -> bytes:
    """Ask for the way to an address."""
    body = _RTMSG.pack(_FAMILIES[address.version], address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return _message(RTM_GETROUTE, _NLM_F_REQUEST, 1, body + _attribute(_RTA_DST, address.packed))


def route_of(datagram: bytes) -> Route | None:
    """What the kernel answered to route_request; None: there is no way."""
    for kind, _, _, data in _messages(datagram):
        if kind == RTM_NEWROUTE:
            *_, scope_type, _ = _RTMSG.unpack_from(data, _HEADER.size)
            attributes = _attributes(data, _HEADER.size + _RTMSG.size)
            if scope_type not in (_RTN_UNICAST, _RTN_LOCAL) or _RTA_OIF not in attributes:
                return None
            via = attributes.get(_RTA_GATEWAY) or attributes.get(_RTA_VIA, b"")[2:]
            (index,) = struct.unpack("=I", attributes[_RTA_OIF])
            return Route(index, _address(via) if via else None, scope_type == _RTN_LOCAL)
    return None


def facts(datagram: bytes) -> Iterator[Fact]:
    """What a datagram of the kernel says, one message after the other."""
    for kind, flags, number, data in _messages(datagram):
        if kind in (NLMSG_DONE, NLMSG_ERROR):
            yield End(number, disturbed=bool(flags & _NLM_F_DUMP_INTR) or kind == NLMSG_ERROR)
            continue
        found: Link | OwnAddress | Neighbour | None = None
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            found = _link(data)
        elif kind in (RTM_NEWADDR, RTM_DELADDR):
            found = _own_address(data)
        elif kind in (RTM_NEWNEIGH, RTM_DELNEIGH):
            found = _neighbour(data)
        if found is not None:
            yield Gone(found) if kind in (RTM_DELLINK, RTM_DELADDR, RTM_DELNEIGH) else found


def _link(data: bytes) -> Link | None:
    family, _, index, flags, _ = _IFINFOMSG.unpack_from(data, _HEADER.size)
    attributes = _attributes(data, _HEADER.size + _IFINFOMSG.size)
    if family != socket.AF_UNSPEC or _IFLA_IFNAME not in attributes:  # a port of a bridge; a wireless event
        return None
    name = attributes[_IFLA_IFNAME].rstrip(b"\0").decode(errors="replace")
    return Link(index, name, attributes.get(_IFLA_ADDRESS, b""), bool(flags & _IFF_UP))


def _own_address(data: bytes) -> OwnAddress:
    _, prefixlen, _, _, index = _IFADDRMSG.unpack_from(data, _HEADER.size)
    attributes = _attributes(data, _HEADER.size + _IFADDRMSG.size)
    return OwnAddress(index, _address(attributes.get(_IFA_LOCAL) or attributes[_IFA_ADDRESS]), prefixlen)


def _neighbour(data: bytes) -> Neighbour | None:
    family, index, state, _, _ = _NDMSG.unpack_from(data, _HEADER.size)
    attributes = _attributes(data, _HEADER.size + _NDMSG.size)
    if family not in _FAMILIES.values() or _NDA_DST not in attributes:  # a bridge's table of MAC addresses
        return None
    return Neighbour(index, _address(attributes[_NDA_DST]), state, attributes.get(_NDA_LLADDR, b""))


def _address(packed: bytes) -> IPAddress:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and the whole of each message."""
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, kind, flags, number, _ = _HEADER.unpack_from(datagram, offset)
        yield kind, flags, number, datagram[offset : offset + length]
        offset += max(_HEADER.size, length + -length % 4)


def _message(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, number, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes, offset: int) -> dict[int, bytes]:
    found = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4
    return found
