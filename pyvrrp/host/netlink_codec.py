"""What the kernel says over rtnetlink, as our types; pure.

pyroute2 decodes links. Addresses are decoded here: hundreds of them come at a takeover, and this takes 4 us, not 43.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from pyroute2.netlink import NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from pyvrrp.host.links import Address, Fact, Gone, Link

_HEADER = struct.Struct("=IHHII")
"struct nlmsghdr: length, type, flags, sequence number, port"
_IFINFOMSG = struct.Struct("=BxHiII")
_IFADDRMSG = struct.Struct("=BBBBI")
"family, prefixlen, flags, scope, index"
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST, _IFA_FLAGS, _IFA_PROTO = 1, 2, 3, 4, 8, 11
_UINT32 = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_NLMSGERR_ATTR_MSG = 1
_MAX_ERRNO = 4095  # linux/err.h

DUMPS = (RTM_GETLINK, RTM_GETADDR)
"all links, all addresses"


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
    """What an NLMSG_ERROR (or the end of a dump) says; None: done as asked."""
    message_type, flags, _, data = message
    inner = _HEADER.size + _ERROR.size
    if len(data) < inner:
        return NetlinkError(errno.EBADMSG, "an answer of the kernel that was cut off")
    (code,) = _ERROR.unpack_from(data, _HEADER.size)
    if code >= 0:
        return None
    code = max(code, -_MAX_ERRNO)
    text = os.strerror(-code)
    if message_type == NLMSG_ERROR and flags & _NLM_F_ACK_TLVS and len(data) >= inner + _HEADER.size:
        # Behind the error stands the refused message: its header alone if capped.
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


def dump_request(what: int, number: int) -> bytes:
    """Ask for all of a kind, one of DUMPS."""
    length = _HEADER.size + _IFINFOMSG.size
    return _HEADER.pack(length, what, NLM_F_REQUEST | NLM_F_DUMP, number, 0) + bytes(_IFINFOMSG.size)


def is_end(message: Message) -> bool:
    """The end of a dump; raises NetlinkError when it was refused or broken off."""
    message_type, _, _, data = message
    if message_type == NLMSG_DONE and len(data) < _HEADER.size + _ERROR.size:
        return True
    if message_type not in (NLMSG_DONE, NLMSG_ERROR):
        return False
    if (error := answer(message)) is not None:
        raise error
    return True


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
    family, prefixlen, flags, scope, index = _IFADDRMSG.unpack_from(data, _HEADER.size)
    attributes = _attributes(data, _HEADER.size + _IFADDRMSG.size)
    address = IPv4Address if family == socket.AF_INET else IPv6Address
    # IPv4 always has IFA_LOCAL, and IFA_ADDRESS is the peer or the same again; IPv6 has IFA_LOCAL only with a peer.
    remote = attributes[_IFA_ADDRESS]
    local = attributes.get(_IFA_LOCAL, remote)
    return Address(
        index=index,
        address=address(local),
        prefixlen=prefixlen,
        flags=_UINT32.unpack(attributes[_IFA_FLAGS])[0] if _IFA_FLAGS in attributes else flags,
        scope=scope,
        label=attributes[_IFA_LABEL].rstrip(b"\0").decode(errors="replace") if _IFA_LABEL in attributes else None,
        broadcast=IPv4Address(attributes[_IFA_BROADCAST]) if _IFA_BROADCAST in attributes else None,
        peer=None if remote == local else address(remote),
        proto=attributes.get(_IFA_PROTO, b"\0")[0],
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
    if isinstance(name, bytes):  # an interface may be called anything; pyroute2 decodes what is UTF-8
        name = name.decode(errors="backslashreplace")
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
