"""A socket filter that keeps the renewals of our leases away from our monitor; pure.

The kernel tells every listener about every renewal, as RTM_NEWADDR. Measured on Linux 6.18: `nlmsg_pid` of such a
message is the port of the requester for IPv4, but always 0 for IPv6, where only IFA_PROTO says that it is ours; and
`tstamp` of IFA_CACHEINFO moves with each renewal while `cstamp` stays. So what is dropped is exactly: RTM_NEWADDR, not
tentative nor a failed duplicate, of our port (IPv4) or our IFA_PROTO (IPv6), and updated later than created. Whatever
else happens passes: changes by others, additions (also by a renewal that came after a deletion) and every removal.
Before Linux 5.18, which has no IFA_PROTO, IPv6 renewals pass too; they are only work, then.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import NamedTuple

from pyvrrp.host.links import IFA_F_DADFAILED, IFA_F_TENTATIVE
from pyvrrp.host.rtnetlink import IFA_CACHEINFO, IFA_PROTO, RTM_NEWADDR

SO_ATTACH_FILTER = 26

# Classic BPF opcodes, linux/filter.h.
_LD_IMM, _LD_W_ABS, _LD_H_ABS, _LD_B_ABS = 0x00, 0x20, 0x28, 0x30
_LDX_IMM, _LDX_MEM, _LD_W_IND, _LD_B_IND = 0x01, 0x61, 0x40, 0x50
_ST, _TAX, _JEQ, _JEQ_X, _JSET, _RET = 0x02, 0x07, 0x15, 0x1D, 0x45, 0x06
_FIND_ATTRIBUTE = 0xFFFFF000 + 12
"SKF_AD_OFF + SKF_AD_NLATTR: A = offset of the first attribute of type X from offset A on, 0 when there is none"

_TYPE_AT, _PORT_AT, _FAMILY_AT, _FLAGS_AT, _ATTRIBUTES_AT = 4, 12, 16, 18, 24
_ATTRIBUTE_HEADER = 4
_CREATED, _UPDATED = _ATTRIBUTE_HEADER + 8, _ATTRIBUTE_HEADER + 12
"cstamp and tstamp in an IFA_CACHEINFO attribute"

_ACCEPT, _DROP = "accept", "drop"
_SOCK_FILTER = struct.Struct("=HBBI")


class _Instruction(NamedTuple):
    """One instruction; a jump names its targets, without a name it goes on with the next one."""

    code: int
    k: int = 0
    if_true: str = ""
    if_false: str = ""


def renewal_filter(port: int, proto: int) -> bytes:
    """The program, as an array of struct sock_filter.

    Netlink has the byte order of the host, BPF loads in network order: constants of 2 and 4 bytes are turned round.
    """
    program: list[_Instruction | str] = [
        _Instruction(_LD_H_ABS, _TYPE_AT),
        _Instruction(_JEQ, socket.htons(RTM_NEWADDR), "", _ACCEPT),
        _Instruction(_LD_B_ABS, _FLAGS_AT),
        _Instruction(_JSET, IFA_F_TENTATIVE | IFA_F_DADFAILED, _ACCEPT),
        _Instruction(_LD_B_ABS, _FAMILY_AT),
        _Instruction(_JEQ, socket.AF_INET6, "ipv6"),
        _Instruction(_LD_W_ABS, _PORT_AT),
        _Instruction(_JEQ, socket.htonl(port), "ours", _ACCEPT),
        "ipv6",
        _Instruction(_LDX_IMM, IFA_PROTO),
        _Instruction(_LD_IMM, _ATTRIBUTES_AT),
        _Instruction(_LD_W_ABS, _FIND_ATTRIBUTE),
        _Instruction(_JEQ, 0, _ACCEPT),
        _Instruction(_TAX),
        _Instruction(_LD_B_IND, _ATTRIBUTE_HEADER),
        _Instruction(_JEQ, proto, "ours", _ACCEPT),
        "ours",
        _Instruction(_LDX_IMM, IFA_CACHEINFO),
        _Instruction(_LD_IMM, _ATTRIBUTES_AT),
        _Instruction(_LD_W_ABS, _FIND_ATTRIBUTE),
        _Instruction(_JEQ, 0, _ACCEPT),
        _Instruction(_TAX),
        _Instruction(_LD_W_IND, _CREATED),
        _Instruction(_ST),
        _Instruction(_LD_W_IND, _UPDATED),
        _Instruction(_LDX_MEM),
        _Instruction(_JEQ_X, 0, _ACCEPT, _DROP),
        _ACCEPT,
        _Instruction(_RET, 0xFFFFFFFF),
        _DROP,
        _Instruction(_RET, 0),
    ]
    labels: dict[str, int] = {}
    instructions: list[_Instruction] = []
    for line in program:
        if isinstance(line, str):
            labels[line] = len(instructions)
        else:
            instructions.append(line)
    return b"".join(
        _SOCK_FILTER.pack(
            line.code,
            labels[line.if_true] - number if line.if_true else 0,
            labels[line.if_false] - number if line.if_false else 0,
            line.k,
        )
        for number, line in enumerate(instructions, start=1)
    )


def attach(target: socket.socket, program: bytes) -> None:
    """Give the socket its filter (replacing one that it has)."""
    code = ctypes.create_string_buffer(program, len(program))
    length = len(program) // _SOCK_FILTER.size
    target.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", length, ctypes.addressof(code)))
