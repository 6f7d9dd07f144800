"""What the kernel says over rtnetlink, as our types; pure. The attributes are decoded by pyroute2."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from pyroute2.netlink import NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from pyvrrp.host.links import Address, Fact, Gone, Link

_HEADER = struct.Struct("=IHHII")
"struct nlmsghdr: length, type, flags, sequence number, port"
_IFINFOMSG = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_NLMSGERR_ATTR_MSG = 1

DUMPS = tuple(
    _HEADER.pack(_HEADER.size + _IFINFOMSG.size, request, NLM_F_REQUEST | NLM_F_DUMP, 0, 0) + bytes(_IFINFOMSG.size)
    for request in (RTM_GETLINK, RTM_GETADDR)
)
"the requests for all links and all addresses"


class NetlinkError(OSError):
    """The kernel refused a request: `errno`, and one line that says what and why."""

    def __str__(self) -> str:
        return str(self.strerror)


Message = tuple[int, int, int, bytes]
"type, flags, sequence number, and the whole message with its header"


def sequence_number(request: bytes) -> int:
    """The number by which the kernel's answer names the request."""
    number: int = _HEADER.unpack_from(request)[3]
    return number


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, message_type, flags, number, _ = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= len(data) - offset:
            return
        yield message_type, flags, number, data[offset : offset + length]
        offset += length + -length % 4


def answer(message: Message) -> NetlinkError | None:
    """What an NLMSG_ERROR says; None: done as asked."""
    _, flags, _, data = message
    (code,) = _ERROR.unpack_from(data, _HEADER.size)
    if code == 0:
        return None
    text = os.strerror(-code)
    if flags & _NLM_F_ACK_TLVS:
        # Behind the error stands the refused message: its header alone if capped.
        inner = _HEADER.size + _ERROR.size
        (length,) = struct.unpack_from("=I", data, inner)
        why = _attributes(data, inner + (_HEADER.size if flags & _NLM_F_CAPPED else length + -length % 4))
        if _NLMSGERR_ATTR_MSG in why:
            text += f" ({why[_NLMSGERR_ATTR_MSG].rstrip(bytes(1)).decode(errors='replace')})"
    return NetlinkError(-code, text)


def _attributes(data: bytes, offset: int) -> dict[int, bytes]:
    found = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4
    return found


def is_end(message: Message) -> bool:
    """The end of a dump, or its refusal."""
    return message[0] in (NLMSG_DONE, NLMSG_ERROR)


def is_interrupted(message: Message) -> bool:
    """Something changed while this dump was made: it may be incomplete."""
    return bool(message[1] & NLM_F_DUMP_INTR)


def fact(message: Message) -> Fact | None:
    """The link or address of a message, None for one that says nothing about them."""
    message_type, _, _, data = message
    if message_type in (RTM_NEWADDR, RTM_DELADDR):
        address = _address(data)
        return address if message_type == RTM_NEWADDR else Gone(address)
    if message_type in (RTM_NEWLINK, RTM_DELLINK):
        link = _link(data)
        return link if link is None or message_type == RTM_NEWLINK else Gone(link)
    return None


def _address(data: bytes) -> Address:
    message = ifaddrmsg(data)
    message.decode()
    # IPv4 always has IFA_LOCAL, and IFA_ADDRESS is the peer or the same again; IPv6 has IFA_LOCAL only with a peer.
    remote = ip_address(message.get_attr("IFA_ADDRESS"))
    local = ip_address(message.get_attr("IFA_LOCAL") or remote)
    broadcast = message.get_attr("IFA_BROADCAST")
    flags = message.get_attr("IFA_FLAGS")
    return Address(
        index=message["index"],
        address=local,
        prefixlen=message["prefixlen"],
        flags=message["flags"] if flags is None else flags,
        scope=message["scope"],
        label=message.get_attr("IFA_LABEL"),
        broadcast=None if broadcast is None else IPv4Address(broadcast),
        peer=None if remote == local else remote,
        proto=message.get_attr("IFA_PROTO") or 0,
    )


def _link(data: bytes) -> Link | None:
    # A bridge reports its ports with its own family (and RTM_DELLINK when a port leaves): the interface lives on.
    if data[_HEADER.size] != socket.AF_UNSPEC:
        return None
    message = ifinfmsg(data)
    message.decode()
    name, mtu = message.get_attr("IFLA_IFNAME"), message.get_attr("IFLA_MTU")
    if name is None or mtu is None:  # a wireless event: a fragment
        return None
    elsewhere = message.get_attr("IFLA_LINK_NETNSID") is not None
    return Link(
        index=message["index"],
        name=name,
        flags=message["flags"],
        mtu=mtu,
        mac=bytes.fromhex((message.get_attr("IFLA_ADDRESS") or "").replace(":", "")),
        arp_type=message["ifi_type"],
        kind=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND"),
        parent=None if elsewhere else message.get_attr("IFLA_LINK") or None,
        master=message.get_attr("IFLA_MASTER"),
    )
