"""VRRPv2 (RFC 2338, RFC 3768) and VRRPv3 (RFC 5798, RFC 9568) advertisements on the wire.

v2   0x21 VRID Prio Count | AuthType AdverInt Checksum | addresses (4 bytes each) | 8 bytes of authentication data
v3   0x31 VRID Prio Count | Rsvd+MaxAdverInt  Checksum | addresses (4 or 16 bytes each)

VRRPv2 over IPv6 is in no RFC; keepalived sends it with 16-byte addresses, no authentication data and IPv6's checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from pyvrrp.core.datagram import internet_checksum
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import IPAddress

TYPE_ADVERTISEMENT = 1
AUTH_DATA_LENGTH = 8
MAX_INTERVAL_V2 = 255
MAX_INTERVAL_V3 = 40.95

_V2 = struct.Struct("!BBBBBBH")
_V3 = struct.Struct("!BBBBHH")
_CHECKSUM_OFFSET = 6
# OpenBSD's protocol for the same purpose has VRRP's protocol number and group, and begins like VRRPv2: version 2, type
# 1, VHID; then advskew, and the words of counter and digest where VRRP counts addresses.
_CARP_FIRST, _CARP_LENGTH, _CARP_WORDS = 0x21, 36, 7
_ipv4_address = lru_cache(maxsize=4096)(IPv4Address)
_ipv6_address = lru_cache(maxsize=4096)(IPv6Address)


class ChecksumForm(Enum):
    """What the checksum of a VRRPv3 advertisement over IPv4 covers; RFC 5798 was read in two ways."""

    PSEUDO_HEADER = "pseudo-header and message"
    "keepalived's and FRR's default"
    MESSAGE = "message only"
    "RFC 9568 section 5.2.8, keepalived's v3_checksum_as_v2"


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A VRRP ADVERTISEMENT, version-neutral."""

    version: int
    "2 or 3"
    vrid: int
    "0-255 as received; 1-255 is legal"
    priority: int
    "0: the sender is giving up the virtual router; 255: it owns the addresses"
    interval: float
    "seconds between its advertisements; on the wire whole seconds in v2, hundredths in v3"
    addresses: tuple[IPAddress, ...]
    auth_type: int = 0
    "v2 only: 0 none, 1 simple text password, 2 IP Authentication Header"
    auth_data: bytes = bytes(AUTH_DATA_LENGTH)
    "v2 over IPv4 only: 8 bytes"

    def encode(self, pseudo_header: bytes = b"") -> bytes:
        """The message with its checksum, which covers `pseudo_header` too (v2 over IPv4 has none: RFC 3768, 5.3.8)."""
        addresses = b"".join(address.packed for address in self.addresses)
        count = len(self.addresses)
        first = self.version << 4 | TYPE_ADVERTISEMENT
        if self.version == 2:
            seconds = round(self.interval)
            head = _V2.pack(first, self.vrid, self.priority, count, self.auth_type, seconds, 0)
            message = head + addresses + self.auth_data
        else:
            head = _V3.pack(first, self.vrid, self.priority, count, round(self.interval * 100) & 0x0FFF, 0)
            message = head + addresses
        checksum = internet_checksum(pseudo_header + message)
        return message[:_CHECKSUM_OFFSET] + checksum.to_bytes(2) + message[_CHECKSUM_OFFSET + 2 :]


def decode(message: bytes, family: int) -> Advertisement:
    """Take a VRRP message apart; `family` is 4 or 6, the IP version it came by.

    Raises Discard(LENGTH) when the length is not exactly what the header announces, Discard(VERSION) and Discard(TYPE)
    (RFC 3768 section 7.1). The checksum is verified by `checksum_form`.
    """
    if len(message) < _V2.size:
        raise Discard(DiscardReason.LENGTH, f"{len(message)} bytes, an advertisement has at least {_V2.size}")
    first, vrid, priority, count, auth_type, seconds, _ = _V2.unpack_from(message)
    version = first >> 4
    if version not in (2, 3):
        raise Discard(DiscardReason.VERSION, f"version {version}")
    if first & 0x0F != TYPE_ADVERTISEMENT:
        raise Discard(DiscardReason.TYPE, f"type {first & 0x0F}")
    size = 4 if family == 4 else 16
    end = _V2.size + count * size
    expected = end + (AUTH_DATA_LENGTH if version == 2 and family == 4 else 0)
    if len(message) != expected:
        if first == _CARP_FIRST and len(message) == _CARP_LENGTH and count == _CARP_WORDS:
            raise Discard(DiscardReason.LENGTH, "CARP (OpenBSD, FreeBSD, pfSense, OPNsense) and not VRRP")
        raise Discard(DiscardReason.LENGTH, f"{len(message)} bytes, {count} addresses make {expected}")
    make = _ipv4_address if family == 4 else _ipv6_address
    addresses = tuple([make(message[at : at + size]) for at in range(_V2.size, end, size)])
    if version == 2:
        return Advertisement(2, vrid, priority, float(seconds), addresses, auth_type, message[end:])
    interval = (auth_type << 8 | seconds) & 0x0FFF
    return Advertisement(3, vrid, priority, interval / 100, addresses)


def checksum_form(message: bytes, pseudo_headers: Iterable[bytes], *, alone: bool) -> ChecksumForm:
    """Say which form of checksum the message carries: with any of `pseudo_headers`, or `alone` if that is legal.

    Over IPv6 it never counts alone (RFC 9568 section 5.2.8). Raises Discard(CHECKSUM).
    """
    for pseudo_header in pseudo_headers:
        if internet_checksum(pseudo_header + message) == 0:
            return ChecksumForm.PSEUDO_HEADER
    if alone and internet_checksum(message) == 0:
        return ChecksumForm.MESSAGE
    found = int.from_bytes(message[_CHECKSUM_OFFSET : _CHECKSUM_OFFSET + 2])
    raise Discard(DiscardReason.CHECKSUM, f"checksum 0x{found:04x} is wrong")
