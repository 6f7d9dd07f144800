"""What the kernel says over rtnetlink, as our types; pure."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from pyvrrp.host.links import Address, Fact, Gone, Link
from pyvrrp.host.rtnetlink import (
    HEADER,
    IFA_ADDRESS,
    IFA_BROADCAST,
    IFA_FLAGS,
    IFA_LABEL,
    IFA_LOCAL,
    IFA_PROTO,
    IFADDRMSG,
    IFINFOMSG,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINK_NETNSID,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    UINT32,
    attributes,
    message,
)

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
    number: int = HEADER.unpack_from(request)[3]
    return number


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, message_type, flags, number, _ = HEADER.unpack_from(data, offset)
        if not HEADER.size <= length <= len(data) - offset:
            return
        yield message_type, flags, number, data[offset : offset + length]
        offset += length + -length % 4


def answer(message: Message) -> NetlinkError | None:
    """What an NLMSG_ERROR (or the end of a dump) says; None: done as asked."""
    message_type, flags, _, data = message
    inner = HEADER.size + _ERROR.size
    if len(data) < inner:
        return NetlinkError(errno.EBADMSG, "an answer of the kernel that was cut off")
    (code,) = _ERROR.unpack_from(data, HEADER.size)
    if code >= 0:
        return None
    code = max(code, -_MAX_ERRNO)
    text = os.strerror(-code)
    if message_type == NLMSG_ERROR and flags & _NLM_F_ACK_TLVS and len(data) >= inner + HEADER.size:
        # Behind the error stands the refused message: its header alone if capped.
        (length,) = struct.unpack_from("=I", data, inner)
        why = attributes(data, inner + (HEADER.size if flags & _NLM_F_CAPPED else length + -length % 4))
        if _NLMSGERR_ATTR_MSG in why:
            text += f" ({why[_NLMSGERR_ATTR_MSG].rstrip(bytes(1)).decode(errors='replace')})"
    return NetlinkError(-code, text)


def dump_request(what: int, number: int) -> bytes:
    """Ask for all of a kind, one of DUMPS."""
    return message(what, NLM_F_REQUEST | NLM_F_DUMP, number, bytes(IFINFOMSG.size))


def is_end(message: Message) -> bool:
    """The end of a dump; raises NetlinkError when it was refused or broken off."""
    message_type, _, _, data = message
    if message_type == NLMSG_DONE and len(data) < HEADER.size + _ERROR.size:
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
    family, prefixlen, flags, scope, index = IFADDRMSG.unpack_from(data, HEADER.size)
    found = attributes(data, HEADER.size + IFADDRMSG.size)
    address = IPv4Address if family == socket.AF_INET else IPv6Address
    # IPv4 always has IFA_LOCAL, and IFA_ADDRESS is the peer or the same again; IPv6 has IFA_LOCAL only with a peer.
    remote = found[IFA_ADDRESS]
    local = found.get(IFA_LOCAL, remote)
    return Address(
        index=index,
        address=address(local),
        prefixlen=prefixlen,
        flags=UINT32.unpack(found[IFA_FLAGS])[0] if IFA_FLAGS in found else flags,
        scope=scope,
        label=_text(found[IFA_LABEL]) if IFA_LABEL in found else None,
        broadcast=IPv4Address(found[IFA_BROADCAST]) if IFA_BROADCAST in found else None,
        peer=None if remote == local else address(remote),
        proto=found.get(IFA_PROTO, b"\0")[0],
    )


def _link(data: bytes) -> Link | None:
    family, arp_type, index, flags, _ = IFINFOMSG.unpack_from(data, HEADER.size)
    # A bridge reports its ports with its own family (and RTM_DELLINK when a port leaves): the interface lives on.
    if family != socket.AF_UNSPEC:
        return None
    found = attributes(data, HEADER.size + IFINFOMSG.size)
    if IFLA_IFNAME not in found or IFLA_MTU not in found:  # a wireless event: a fragment
        return None
    kind = attributes(found.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND)
    parent, master = found.get(IFLA_LINK), found.get(IFLA_MASTER)
    return Link(
        index=index,
        name=_text(found[IFLA_IFNAME]),
        flags=flags,
        mtu=UINT32.unpack(found[IFLA_MTU])[0],
        mac=found.get(IFLA_ADDRESS, b""),
        arp_type=arp_type,
        kind=None if kind is None else _text(kind),
        parent=None if parent is None or IFLA_LINK_NETNSID in found else UINT32.unpack(parent)[0] or None,
        master=None if master is None else UINT32.unpack(master)[0],
    )


def _text(value: bytes) -> str:
    """An interface may be called anything, text or not."""
    return value.rstrip(b"\0").decode(errors="backslashreplace")
