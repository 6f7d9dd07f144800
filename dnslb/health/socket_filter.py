"""Classic BPF programs on sockets: which frames of a link a check has to look at."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

from dnslb.forwarding import Protocol
from dnslb.headers import ICMP, ICMPV6
from pyvrrp.core.events import IPAddress

Instruction = tuple[int, int, int, int]
"code, jump if true, jump if false, k (linux/filter.h)"

_SO_ATTACH_FILTER = 26
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_HALF_INDEXED = 0x48
_LOAD_HEADER_LENGTH = 0xB1
"X = 4 * (octet & 15)"
_JUMP_EQUAL = 0x15
_RETURN = 0x06
_WHOLE = 0x40000
_ARP_REPLY = 2
_NEIGHBOR_ADVERTISEMENT = 136

_NEXT, _KEEP, _DROP = "next", "keep", "drop"
_Line = tuple[int, int, str, str]
"code, k, where to go if equal and if not; for a load both are _NEXT"

NOTHING: tuple[Instruction, ...] = ((_RETURN, 0, 0, 0),)
"no frame at all"


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Have the kernel drop what `program` returns 0 for; raises OSError."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


def answers(own: IPAddress, port: int) -> list[Instruction]:
    """UDP and TCP from `port`, and every ICMP message, to an address of ours; of Ethernet frames without a tag."""
    if own.version == 4:
        address = [_at(_LOAD_WORD, 30, int(own))]
        protocol, icmp = 23, ICMP
        source_port = [(_LOAD_HEADER_LENGTH, 14, _NEXT, _NEXT), *_at(_LOAD_HALF_INDEXED, 14, port)]
    else:
        words = struct.unpack("!4I", own.packed)
        address = [_at(_LOAD_WORD, 38 + 4 * place, word) for place, word in enumerate(words)]
        protocol, icmp = 20, ICMPV6
        source_port = _at(_LOAD_HALF, 54, port)
    return _assembled(
        [
            *(line for lines in address for line in lines),
            (_LOAD_BYTE, protocol, _NEXT, _NEXT),
            (_JUMP_EQUAL, icmp, _KEEP, _NEXT),
            (_JUMP_EQUAL, Protocol.UDP, "ports", _NEXT),
            (_JUMP_EQUAL, Protocol.TCP, "ports", _DROP),
            *source_port,
        ],
        ports=len(source_port),
    )


def neighbour_replies(family: int) -> list[Instruction]:
    """ARP replies (family 4), or Neighbor Advertisements (6)."""
    if family == 4:
        return _assembled(_at(_LOAD_HALF, 20, _ARP_REPLY))
    return _assembled([*_at(_LOAD_BYTE, 20, ICMPV6), *_at(_LOAD_BYTE, 54, _NEIGHBOR_ADVERTISEMENT)])


def _at(load: int, offset: int, value: int) -> list[_Line]:
    """Drop what has another value there."""
    return [(load, offset, _NEXT, _NEXT), (_JUMP_EQUAL, value, _NEXT, _DROP)]


def _assembled(lines: Sequence[_Line], ports: int = 0) -> list[Instruction]:
    """The program that keeps what comes to the end of `lines`, the last `ports` of which are named so."""
    count = len(lines)
    places = {_KEEP: count, _DROP: count + 1, "ports": count - ports}
    program = [
        (code, places.get(yes, here + 1) - here - 1, places.get(no, here + 1) - here - 1, k)
        for here, (code, k, yes, no) in enumerate(lines)
    ]
    return [*program, (_RETURN, 0, 0, _WHOLE), *NOTHING]
