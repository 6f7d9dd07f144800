"""Classic BPF programs (linux/filter.h) that sort the frames of an interface before any of them costs us time.

Every kernel since 2.2 runs them, for whoever may open a packet socket. A frame that the packet engine may have to act
on is either plain, with a program and a queue for each service, or it is one of the others, for the slow path.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from dnslb.dataplane import DataPlaneError
from dnslb.forwarding import Protocol
from pyvrrp.core.events import IPAddress

LONGEST_PLAIN = 400
"octets of a frame, with its Ethernet header; nearly all DNS queries are shorter"

SO_ATTACH_FILTER = 26
MAX_INSTRUCTIONS = 4096

_WORD, _HALF, _BYTE, _LENGTH = 0x20, 0x28, 0x30, 0x80
"A := of 4, 2, 1 octets of the frame at k; of the length of the frame"
_INDEXED = 0x40 - 0x20
"added to a load: at X + k"
_LOAD_X, _ADD, _AND, _TO_X = 0x01, 0x04, 0x54, 0x07
_GO, _EQUAL, _GREATER, _AT_LEAST, _AT_LEAST_X, _ANY_BIT, _RETURN = 0x05, 0x15, 0x25, 0x35, 0x3D, 0x45, 0x06
_VLAN_TAG_PRESENT = 0xFFFFF000 + 48
_WHOLE = 0x40000


@dataclass(frozen=True, slots=True)
class Plain:
    """Frames without VLAN tag, IP options and extension headers, no fragments, to one service from no peer."""

    address: IPAddress
    port: int
    protocols: frozenset[Protocol]


class _Program:
    """Instructions one after another; behind a conditional jump stands an unconditional one, for that reaches far."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int | str]] = []
        self._labels: dict[str, int] = {}

    def do(self, operation: int, operand: int = 0) -> None:
        self._code.append((operation, 0, 0, operand))

    def label(self, name: str) -> None:
        self._labels[name] = len(self._code)

    def go(self, label: str) -> None:
        self._code.append((_GO, 0, 0, label))

    def go_if(self, comparison: int, operand: int, label: str) -> None:
        self._code.append((comparison, 0, 1, operand))
        self.go(label)

    def go_unless(self, comparison: int, operand: int, label: str) -> None:
        self._code.append((comparison, 1, 0, operand))
        self.go(label)

    def assemble(self) -> bytes:
        if len(self._code) > MAX_INSTRUCTIONS:
            raise DataPlaneError(f"packet: too many services, or peers: {len(self._code)} instructions of a filter")
        return b"".join(
            struct.pack("=HBBI", code, yes, no, self._labels[k] - at - 1 if isinstance(k, str) else k)
            for at, (code, yes, no, k) in enumerate(self._code)
        )


NOTHING = struct.pack("=HBBI", _RETURN, 0, 0, 0)


def plain_filter(mac: bytes, peers: Iterable[bytes], plain: Plain) -> bytes:
    """Takes the plain frames of one service that are sent to `mac`."""
    program = _Program()
    _sort_out_plain(program, mac, peers, [plain])
    program.label("other")
    program.do(_RETURN, 0)
    program.label("plain")
    program.do(_RETURN, LONGEST_PLAIN)
    return program.assemble()


def other_filter(mac: bytes, peers: Iterable[bytes], plains: Sequence[Plain], addresses: Sequence[IPAddress]) -> bytes:
    """Takes what is sent to `mac` and one of `addresses`, behind at most one VLAN tag in the frame, and is not plain.

    The outer VLAN tag is never in the frame: the kernel, if not the card, has put it beside.
    """
    program = _Program()
    _sort_out_plain(program, mac, peers, plains)
    program.label("other")
    _unless_to(program, mac, "plain")
    program.do(_LOAD_X, 0)
    program.do(_HALF, 12)
    program.go_if(_EQUAL, 0x8100, "tagged")
    program.go_if(_EQUAL, 0x88A8, "tagged")
    program.go("type")
    program.label("tagged")
    program.do(_LOAD_X, 4)
    program.do(_HALF, 16)
    program.label("type")
    program.go_if(_EQUAL, 0x0800, "IPv4")
    program.go_unless(_EQUAL, 0x86DD, "plain")
    for position, address in enumerate(addresses):
        if isinstance(address, IPv6Address):
            _unless_words(program, 38, address.packed, f"next {position}", _INDEXED)
            program.go("take")
            program.label(f"next {position}")
    program.go("plain")
    program.label("IPv4")
    program.do(_WORD + _INDEXED, 30)
    for address in addresses:
        if isinstance(address, IPv4Address):
            program.go_if(_EQUAL, int(address), "take")
    program.label("plain")
    program.do(_RETURN, 0)
    program.label("take")
    program.do(_RETURN, _WHOLE)
    return program.assemble()


def attach(receiver: socket.socket, program: bytes) -> None:
    """Let a socket have only what the program takes, from the next frame on; replaces the program before."""
    code = ctypes.create_string_buffer(program, len(program))
    receiver.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    )


def _sort_out_plain(program: _Program, mac: bytes, peers: Iterable[bytes], plains: Sequence[Plain]) -> None:
    """Go to `plain` with what is, and fall through or go to `other` with the rest."""
    program.do(_WORD, _VLAN_TAG_PRESENT)
    program.go_unless(_EQUAL, 0, "other")
    program.do(_LENGTH)
    program.go_if(_GREATER, LONGEST_PLAIN, "other")
    program.go_unless(_AT_LEAST, 14 + 20 + 4, "other")
    _unless_to(program, mac, "other")
    for position, peer in enumerate(sorted(peers)):
        _unless_words(program, 8, peer[2:], f"peer {position}")
        program.do(_HALF, 6)
        program.go_if(_EQUAL, int.from_bytes(peer[:2]), "other")
        program.label(f"peer {position}")
    program.do(_HALF, 12)
    program.go_if(_EQUAL, 0x0800, "plain IPv4")
    program.go_unless(_EQUAL, 0x86DD, "other")
    program.do(_BYTE, 14)
    program.do(_AND, 0xF0)
    program.go_unless(_EQUAL, 0x60, "other")
    program.do(_LENGTH)
    program.go_unless(_AT_LEAST, 14 + 40 + 4, "other")
    _unless_long_enough(program, 18, 14 + 40)
    for plain in plains:
        if plain.address.version == 6:
            _go_if_to_service(program, plain, protocol_at=20, address_at=38, port_at=56)
    program.go("other")
    program.label("plain IPv4")
    program.do(_BYTE, 14)
    program.go_unless(_EQUAL, 0x45, "other")
    program.do(_HALF, 20)
    program.go_if(_ANY_BIT, 0x3FFF, "other")
    program.do(_HALF, 16)
    program.go_unless(_AT_LEAST, 20, "other")
    _unless_long_enough(program, 16, 14)
    for plain in plains:
        if plain.address.version == 4:
            _go_if_to_service(program, plain, protocol_at=23, address_at=30, port_at=36)


def _go_if_to_service(program: _Program, plain: Plain, *, protocol_at: int, address_at: int, port_at: int) -> None:
    after = f"not {plain}"
    program.do(_BYTE, protocol_at)
    for protocol in sorted(plain.protocols):
        program.go_if(_EQUAL, protocol, f"to {plain}")
    program.go(after)
    program.label(f"to {plain}")
    _unless_words(program, address_at, plain.address.packed, after)
    program.do(_HALF, port_at)
    program.go_if(_EQUAL, plain.port, "plain")
    program.label(after)


def _unless_to(program: _Program, mac: bytes, label: str) -> None:
    _unless_words(program, 2, mac[2:], label)
    program.do(_HALF, 0)
    program.go_unless(_EQUAL, int.from_bytes(mac[:2]), label)


def _unless_words(program: _Program, at: int, value: bytes, label: str, indexed: int = 0) -> None:
    """Go to `label` unless the frame has `value`, a multiple of 4 octets, at `at`."""
    for offset in range(0, len(value), 4):
        program.do(_WORD + indexed, at + offset)
        program.go_unless(_EQUAL, int.from_bytes(value[offset : offset + 4]), label)


def _unless_long_enough(program: _Program, length_at: int, before: int) -> None:
    """Go to `other` unless the frame has as many octets as the IP length field at `length_at` says, and `before`."""
    program.do(_HALF, length_at)
    program.do(_ADD, before)
    program.do(_TO_X)
    program.do(_LENGTH)
    program.go_unless(_AT_LEAST_X, 0, "other")
