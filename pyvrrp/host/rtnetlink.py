"""rtnetlink messages as bytes: the kernel's numbers, and how a message is put together and taken apart; pure.

Of leases and links this is all there is to it, and it is loaded before a speaker's first advertisement: pyroute2, which
can do the same and much more, takes 0.1 s to load, half of what a new speaker may take on a busy machine.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

# linux/netlink.h
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_DUMP, NLM_F_DUMP_INTR = 0x300, 0x10
NLM_F_REPLACE, NLM_F_CREATE = 0x100, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
_NLA_TYPE_MASK = 0x3FFF

# linux/rtnetlink.h
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100

# linux/if_addr.h, linux/if_link.h
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_PROTO = 1, 2, 3, 4, 6, 8, 11
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_LINK_NETNSID = 1, 3, 4, 5, 10, 18, 37
IFLA_INFO_KIND = 1

HEADER = struct.Struct("=IHHII")
"struct nlmsghdr: length, type, flags, sequence number, port"
IFINFOMSG = struct.Struct("=BxHiII")
"family, ARPHRD_*, index, flags, changed flags"
IFADDRMSG = struct.Struct("=BBBBI")
"family, prefixlen, flags, scope, index"
UINT32 = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")


def message(kind: int, flags: int, number: int, body: bytes, attributes: Iterable[tuple[int, bytes]] = ()) -> bytes:
    """A request with this sequence number; the length of `body` is a multiple of 4."""
    packed = body + b"".join(_attribute(*each) for each in attributes)
    return HEADER.pack(HEADER.size + len(packed), kind, flags, number, 0) + packed


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from `offset` on, by type; what is cut off or makes no sense ends them."""
    found = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _NLA_TYPE_MASK] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4
    return found
