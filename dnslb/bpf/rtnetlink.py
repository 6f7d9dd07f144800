"""What bpf(2) can't say about XDP on an interface: which program is there, and the driver's reason for a refusal."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator

from dnslb.bpf.program import Program
from dnslb.bpf.xdp import Mode

NLMSG_ERROR = 2
RTM_GETLINK, RTM_SETLINK = 18, 19
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSGERR_ATTR_MSG = 1
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
NLA_F_NESTED = 0x8000
IFLA_LINKINFO, IFLA_INFO_KIND = 18, 1
IFLA_XDP = 43
IFLA_XDP_FD, IFLA_XDP_FLAGS = 1, 3
PROGRAM_IDS = {5: Mode.NATIVE, 6: Mode.GENERIC, 7: Mode.NATIVE}
"IFLA_XDP_DRV_PROG_ID, IFLA_XDP_SKB_PROG_ID, IFLA_XDP_HW_PROG_ID"
XDP_FLAGS_UPDATE_IF_NOEXIST = 1
DETACH = -1
HEADER = struct.Struct("=IHHII")
INTERFACE = struct.Struct("=BxHiII")
"struct ifinfomsg"
TIMEOUT = 5.0
"seconds; rtnetlink answers at once, unless a driver is being reset"


def attached(interface: int) -> dict[Mode, int]:
    """The ids of the XDP programs on an interface, by mode; one in the card itself counts as native. Raises OSError."""
    kind, body = _request(RTM_GETLINK, INTERFACE.pack(0, 0, interface, 0, 0))
    if kind == NLMSG_ERROR:
        number, text = _error(body)
        raise OSError(number, text or os.strerror(number))
    xdp = dict(_attributes(dict(_attributes(body[INTERFACE.size :])).get(IFLA_XDP, b"")))
    return {mode: int.from_bytes(xdp[kind], sys.byteorder) for kind, mode in PROGRAM_IDS.items() if kind in xdp}


def kind(interface: int) -> str:
    """What a virtual interface is (veth, vlan, bond ...); "" for a card, and where it can't be found out."""
    try:
        answer, body = _request(RTM_GETLINK, INTERFACE.pack(0, 0, interface, 0, 0))
    except OSError:
        return ""
    info = dict(_attributes(body[INTERFACE.size :])).get(IFLA_LINKINFO, b"") if answer != NLMSG_ERROR else b""
    return dict(_attributes(info)).get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode("ascii", "replace")


def reason(program: Program, interface: int, mode: Mode) -> str:
    """Why an attachment that bpf(2) has just refused is refused, in the driver's words; "" where it has none.

    Asked by trying it once more the older way, whose refusals have a text; if it is accepted now, it is undone.
    """
    try:
        number, text = _error(_request(RTM_SETLINK, _setting(interface, program.descriptor, mode))[1])
        if number == 0:
            _request(RTM_SETLINK, _setting(interface, DETACH, mode))
    except OSError:
        return ""
    return text


def _setting(interface: int, descriptor: int, mode: Mode) -> bytes:
    flags = mode if descriptor == DETACH else mode | XDP_FLAGS_UPDATE_IF_NOEXIST
    xdp = struct.pack("=HHiHHI", 8, IFLA_XDP_FD, descriptor, 8, IFLA_XDP_FLAGS, flags)
    return INTERFACE.pack(0, 0, interface, 0, 0) + struct.pack("=HH", 4 + len(xdp), IFLA_XDP | NLA_F_NESTED) + xdp


def _request(kind: int, body: bytes) -> tuple[int, bytes]:
    """The kind and the body of the one message that answers."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(TIMEOUT)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            netlink.setsockopt(SOL_NETLINK, option, 1)
        flags = NLM_F_REQUEST | (NLM_F_ACK if kind == RTM_SETLINK else 0)
        netlink.send(HEADER.pack(HEADER.size + len(body), kind, flags, 1, 0) + body)
        answer = netlink.recv(1 << 16)
    length, kind, flags, _, _ = HEADER.unpack_from(answer)
    return kind, answer[HEADER.size : length]


def _error(body: bytes) -> tuple[int, str]:
    """The errno, 0 for an acknowledgement, and the text of an NLMSG_ERROR that has only the head of what it answers."""
    (negative,) = struct.unpack_from("=i", body)
    texts = dict(_attributes(body[4 + HEADER.size :]))
    return -negative, texts.get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            return
        yield kind & ~NLA_F_NESTED, data[4:length]
        data = data[(length + 3) // 4 * 4 :]
