"""The headers that a balancer reads, with the checks that every data plane makes and no others; pure.

Checksums are not verified, nor lengths inside UDP and TCP: the server does that. What is not inside the frame is never
read; octets that pad a short frame count as inside.
"""

from __future__ import annotations

from dataclasses import dataclass

from dnslb.flow_hash import LONGEST_NAME
from dnslb.forwarding import MAX_EXTENSION_HEADERS

ETHERNET_HEADER = 14
VLAN_TAGS = (b"\x81\x00", b"\x88\xa8")
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"

HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION_OPTIONS = 0, 43, 44, 51, 60
EXTENSION_HEADERS = (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION_OPTIONS)
"those that the kernel's own walk (ipv6_find_hdr) goes past"

ICMP, ICMPV6 = 1, 58
ICMP_ERRORS = {ICMP: (3, 11, 12), ICMPV6: (1, 2, 3, 4)}
"by protocol: unreachable, (v6: too big,) time exceeded, parameter problem (RFC 792, RFC 4443)"
DNS_HEADER = 12
QTYPE_AND_QCLASS = 4


class Malformed(Exception):
    """A header that is not whole, or that can't be."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """What an IP header, and the IPv6 extension headers behind it, say."""

    source: bytes
    "4 or 16 octets, as the next"
    destination: bytes
    protocol: int
    "of what begins at `payload`; with more extension headers than are walked, that of the next one"
    payload: int
    "where in the frame that begins"
    fragment: bool = False


def ip_header(frame: bytes) -> int:
    """Where the IP header begins, behind at most two VLAN tags; 0 when there is none."""
    at = ETHERNET_HEADER
    for _ in range(2):
        if frame[at - 2 : at] in VLAN_TAGS:
            at += 4
    return at if frame[at - 2 : at] in (IPV4, IPV6) else 0


def destination(frame: bytes, at: int) -> bytes:
    """The destination address of the IP header at `at`; empty when the frame ends within the fixed header."""
    start, end = (16, 20) if frame[at - 2 : at] == IPV4 else (24, 40)
    return frame[at + start : at + end] if len(frame) >= at + end else b""


def datagram(frame: bytes, at: int) -> Datagram:
    """Read the IP header at `at`, of which `destination` is there; raises Malformed."""
    return _ipv4(frame, at) if frame[at - 2 : at] == IPV4 else _ipv6(frame, at)


def _ipv4(frame: bytes, at: int) -> Datagram:
    header = (frame[at] & 15) * 4
    if frame[at] >> 4 != 4 or not 20 <= header <= _number(frame, at + 2) <= len(frame) - at:
        raise Malformed
    more_or_offset = _number(frame, at + 6) & 0x3FFF
    return Datagram(frame[at + 12 : at + 16], frame[at + 16 : at + 20], frame[at + 9], at + header, more_or_offset != 0)


def _ipv6(frame: bytes, at: int) -> Datagram:
    """A fragment header, though it may say that the packet is whole (RFC 6946), makes a fragment and ends the walk."""
    if frame[at] >> 4 != 6 or 40 + _number(frame, at + 4) > len(frame) - at:
        raise Malformed
    source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    protocol, at = frame[at + 6], at + 40
    for _ in range(MAX_EXTENSION_HEADERS):
        if protocol not in EXTENSION_HEADERS:
            break
        if len(frame) < at + 8:
            raise Malformed
        if protocol == FRAGMENT:
            return Datagram(source, destination, frame[at], at + 8, fragment=True)
        words = frame[at + 1]
        protocol, at = frame[at], at + ((words + 2) * 4 if protocol == AUTHENTICATION else (words + 1) * 8)
    return Datagram(source, destination, protocol, at)


def ports(frame: bytes, at: int) -> tuple[int, int]:
    """The source and the destination port of the UDP or TCP header at `at`; raises Malformed."""
    return _number(frame, at), _number(frame, at + 2)


def is_icmp_error(frame: bytes, packet: Datagram) -> bool:
    """Whether it is about a packet that it returns the beginning of; raises Malformed."""
    icmp = ICMP if len(packet.source) == 4 else ICMPV6
    if packet.protocol != icmp or packet.fragment:
        return False
    if len(frame) <= packet.payload:
        raise Malformed
    return frame[packet.payload] in ICMP_ERRORS[icmp]


def returned(frame: bytes, error: Datagram) -> Datagram:
    """The packet that an ICMP error is about, of which only the beginning is there; raises Malformed.

    `fragment` is set where the ports are in another one. IPv6: of the extension headers only one fragment header
    is walked, for a server sends no other.
    """
    at = error.payload + 8
    if len(error.source) == 4:
        if len(frame) < at + 20 or frame[at] >> 4 != 4 or frame[at] & 15 < 5:
            raise Malformed
        later = _number(frame, at + 6) & 0x1FFF != 0
        ports_at = at + (frame[at] & 15) * 4
        return Datagram(frame[at + 12 : at + 16], frame[at + 16 : at + 20], frame[at + 9], ports_at, later)
    if len(frame) < at + 40 or frame[at] >> 4 != 6:
        raise Malformed
    protocol, ports_at, later = frame[at + 6], at + 40, False
    if protocol == FRAGMENT:
        later = _number(frame, ports_at + 2) & 0xFFF8 != 0
        protocol, ports_at = frame[ports_at], ports_at + 8
    return Datagram(frame[at + 8 : at + 24], frame[at + 24 : at + 40], protocol, ports_at, later)


def question_name(frame: bytes, udp: int) -> bytes | None:
    """The name behind the DNS header of the UDP datagram at `udp`, without its final zero octet.

    None when the frame does not hold the name, its end and 4 octets more (type and class), when it is longer than 254
    octets, or when a label is no plain one.
    """
    begin = at = udp + 8 + DNS_HEADER
    while at < len(frame) and 0 < frame[at] <= 63:
        at += 1 + frame[at]
    readable = at - begin <= LONGEST_NAME and at + QTYPE_AND_QCLASS < len(frame) and frame[at] == 0
    return frame[begin:at] if readable else None


def _number(frame: bytes, at: int) -> int:
    """The 16-bit number at `at`."""
    if len(frame) < at + 2:
        raise Malformed
    return frame[at] << 8 | frame[at + 1]
