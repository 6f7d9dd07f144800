"""The frames of a probe through the VIP, and what answers them; pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from dnslb import headers
from dnslb.forwarding import Protocol
from pyvrrp.core.datagram import build_ipv4, internet_checksum, pseudo_header
from pyvrrp.core.events import IPAddress

SYN, RST, ACK = 0x02, 0x04, 0x10
_TCP = struct.Struct("!HHIIBBHHH")
_WINDOW = 1024
_HOP_LIMIT = 64
_CLOSED = {4: (3, 3), 6: (1, 4)}
"type and code of ICMP port unreachable (RFC 792, RFC 4443)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From a port of ours to the VIP, by way of one real server."""

    own_mac: bytes
    server_mac: bytes
    source: IPAddress
    source_port: int
    vip: IPAddress
    port: int

    def udp(self, payload: bytes) -> bytes:
        """The frame of a datagram."""
        length = 8 + len(payload)
        unsummed = struct.pack("!HHHH", self.source_port, self.port, length, 0) + payload
        # A sum of 0 is written as all ones: 0 says that there is none (RFC 768).
        checksum = self._checksum(unsummed, Protocol.UDP) or 0xFFFF
        return self._frame(unsummed[:6] + struct.pack("!H", checksum) + payload, Protocol.UDP)

    def tcp(self, flags: int, sequence: int) -> bytes:
        """The frame of a segment without data or acknowledgement."""
        fields = (self.source_port, self.port, sequence & 0xFFFFFFFF, 0, 5 << 4, flags, _WINDOW)
        checksum = self._checksum(_TCP.pack(*fields, 0, 0), Protocol.TCP)
        return self._frame(_TCP.pack(*fields, checksum, 0), Protocol.TCP)

    def _checksum(self, unsummed: bytes, protocol: Protocol) -> int:
        return internet_checksum(pseudo_header(self.source, self.vip, len(unsummed), protocol) + unsummed)

    def _frame(self, message: bytes, protocol: Protocol) -> bytes:
        ethernet = self.server_mac + self.own_mac
        if isinstance(self.source, IPv4Address) and isinstance(self.vip, IPv4Address):
            packet = build_ipv4(
                self.source, self.vip, message, protocol=protocol, ttl=_HOP_LIMIT, tos=0, identification=0
            )
            return ethernet + headers.IPV4 + packet
        header = struct.pack("!IHBB", 6 << 28, len(message), protocol, _HOP_LIMIT)
        return ethernet + headers.IPV6 + header + self.source.packed + self.vip.packed + message


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back to a port of ours."""

    protocol: Protocol
    source: IPAddress
    "who sent it; of an ICMP error, whom the packet was for that it is about"
    source_port: int
    own: IPAddress
    own_port: int
    payload: bytes = b""
    "of a datagram"
    flags: int = 0
    "of a segment"
    acknowledged: int = 0
    closed: bool = False
    "ICMP port unreachable"


def read_reply(frame: bytes) -> Reply | None:
    """The reply in a frame with an untagged IP packet; None for anything else, whatever is wrong with it."""
    at = headers.ETHERNET_HEADER
    try:
        if not headers.destination(frame, at):
            return None
        packet = headers.datagram(frame, at)
        if headers.is_icmp_error(frame, packet):
            return _refusal(frame, packet)
        if packet.fragment or packet.protocol not in (Protocol.UDP, Protocol.TCP):
            return None
        return _answer(frame, packet)
    except (headers.Malformed, struct.error):
        return None


def _answer(frame: bytes, packet: headers.Datagram) -> Reply:
    source_port, own_port = headers.ports(frame, packet.payload)
    source, own = ip_address(packet.source), ip_address(packet.destination)
    if packet.protocol == Protocol.TCP:
        _, _, _, acknowledged, _, flags, _, _, _ = _TCP.unpack_from(frame, packet.payload)
        return Reply(
            protocol=Protocol.TCP,
            source=source,
            source_port=source_port,
            own=own,
            own_port=own_port,
            flags=flags,
            acknowledged=acknowledged,
        )
    (length,) = struct.unpack_from("!H", frame, packet.payload + 4)
    payload = frame[packet.payload + 8 : packet.payload + length]
    return Reply(
        protocol=Protocol.UDP, source=source, source_port=source_port, own=own, own_port=own_port, payload=payload
    )


def _refusal(frame: bytes, error: headers.Datagram) -> Reply | None:
    family = 4 if len(error.source) == 4 else 6
    if tuple(frame[error.payload : error.payload + 2]) != _CLOSED[family]:
        return None
    sent = headers.returned(frame, error)
    if sent.fragment or sent.protocol not in (Protocol.UDP, Protocol.TCP):
        return None
    own_port, port = headers.ports(frame, sent.payload)
    return Reply(
        protocol=Protocol(sent.protocol),
        source=ip_address(sent.destination),
        source_port=port,
        own=ip_address(sent.source),
        own_port=own_port,
        closed=True,
    )
