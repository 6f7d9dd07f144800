"""The IP layer around an advertisement: IPv4 header, Internet checksum, pseudo-headers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import IPAddress

PROTOCOL_VRRP = 112
"RFC 3768 section 5.2.4"
PROTOCOL_AH = 51
"IP Authentication Header, RFC 2402"

_HEADER = struct.Struct("!BBHHHBBH4s4s")
_NOT_FRAGMENT_MASK = 0x3FFF
"of the flags and fragment offset: More Fragments and the offset, not Don't Fragment"

_ipv4_address = lru_cache(maxsize=1024)(IPv4Address)
"peers are few and heard every second; bounded, because anybody on the link can make up a source"


@dataclass(frozen=True, slots=True)
class Datagram:
    """One received IP packet that carries VRRP, whole or inside an Authentication Header."""

    source: IPAddress
    destination: IPAddress
    ttl: int
    "TTL or hop limit, 0-255"
    protocol: int
    "PROTOCOL_VRRP or PROTOCOL_AH; an IPv6 socket knows it, an IPv4 header says it"
    header: bytes
    "the IPv4 header as received, options included (AH digests it); b'' for IPv6"
    payload: bytes
    "what follows the IP header, cut to the IP total length: Ethernet padding is gone"


def parse_ipv4(packet: bytes) -> Datagram:
    """Take an IPv4 packet apart; `packet` may be longer than its total length (Ethernet padding).

    The header checksum is not looked at: the kernel dropped what fails it. Raises Discard(LENGTH) for anything that is
    not one whole IPv4 packet; options are legal (RFC 791).
    """
    if len(packet) < _HEADER.size:
        raise Discard(DiscardReason.LENGTH, f"{len(packet)} bytes are no IPv4 packet")
    version_ihl, _, total, _, fragment, ttl, protocol, _, source, destination = _HEADER.unpack_from(packet)
    header_length = (version_ihl & 0x0F) * 4
    if version_ihl >> 4 != 4 or header_length < _HEADER.size:
        raise Discard(DiscardReason.LENGTH, f"0x{version_ihl:02x} starts no IPv4 packet")
    if not header_length <= total <= len(packet):
        raise Discard(
            DiscardReason.LENGTH, f"IPv4 total length {total}, header {header_length}, received {len(packet)} bytes"
        )
    if fragment & _NOT_FRAGMENT_MASK:
        raise Discard(DiscardReason.LENGTH, "a fragment of an IPv4 packet")
    return Datagram(
        _ipv4_address(source),
        _ipv4_address(destination),
        ttl,
        protocol,
        packet[:header_length],
        packet[header_length:total],
    )


def build_ipv4(
    source: IPv4Address,
    destination: IPv4Address,
    payload: bytes,
    *,
    protocol: int = PROTOCOL_VRRP,
    ttl: int = 255,
    tos: int = 0xC0,
    identification: int,
) -> bytes:
    """An IPv4 packet without options, Don't Fragment clear, as keepalived sends it.

    `identification` counts modulo 65536; through a Linux raw socket 0 is replaced by the kernel, which spoils an AH
    digest. TOS 0xC0 is the precedence Internetwork Control. Raises ValueError when it is longer than 65535 bytes.
    """
    total = _HEADER.size + len(payload)
    if total > 0xFFFF:
        raise ValueError(f"{total} bytes are too long for an IPv4 packet")
    fields = (0x45, tos, total, identification & 0xFFFF, 0, ttl, protocol)
    checksum = internet_checksum(_HEADER.pack(*fields, 0, source.packed, destination.packed))
    return _HEADER.pack(*fields, checksum, source.packed, destination.packed) + payload


def internet_checksum(data: bytes) -> int:
    """The 16-bit one's complement of the one's complement sum (RFC 1071); 0 when `data` holds its correct checksum."""
    number = int.from_bytes(data)
    if len(data) % 2:
        number <<= 8
    # 2**16 is 1 modulo 0xFFFF, so the remainder of the whole number is the folded sum of its 16-bit words; only 0 and
    # 0xFFFF, the two zeros of one's complement, fall together, and the sum is 0 for nothing but zeros.
    return 0xFFFF - (number % 0xFFFF or (0xFFFF if number else 0))


def pseudo_header(source: IPAddress, destination: IPAddress, length: int, protocol: int) -> bytes:
    """What an upper-layer checksum covers before the message (IPv4: RFC 793 section 3.1, IPv6: RFC 8200 section 8.1).

    `length` is the upper-layer packet's, in bytes.
    """
    if source.version == 4:
        return struct.pack("!4s4sBBH", source.packed, destination.packed, 0, protocol, length)
    return struct.pack("!16s16sIHBB", source.packed, destination.packed, length, 0, 0, protocol)
