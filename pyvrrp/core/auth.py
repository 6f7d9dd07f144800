"""VRRPv2 authentication (RFC 2338 section 5.3.6) in keepalived's form: none, simple text, Authentication Header.

The HMAC function is passed in: the core holds no cryptography of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from hmac import compare_digest
from ipaddress import IPv4Address

from pyvrrp.core.advertisement import AUTH_DATA_LENGTH, Advertisement
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, Datagram, build_ipv4
from pyvrrp.core.discard import Discard, DiscardReason

Hmac = Callable[[bytes, bytes], bytes]
"(key, message) -> the whole digest"

NAMES = {0: "none", 1: "PASS", 2: "AH"}


class NoAuthentication:
    """Authentication type 0: 8 zero bytes (VRRPv2), nothing (VRRPv3)."""

    auth_type = 0
    protocol = PROTOCOL_VRRP
    auth_data = bytes(AUTH_DATA_LENGTH)

    def unwrap(self, datagram: Datagram) -> bytes:
        """The VRRP message inside the datagram; Discard(AUTH_TYPE_MISMATCH) when an AH stands before it."""
        if datagram.protocol != PROTOCOL_VRRP:
            raise Discard(
                DiscardReason.AUTH_TYPE_MISMATCH, f"an Authentication Header, we expect {NAMES[self.auth_type]}"
            )
        return datagram.payload

    def verify(self, datagram: Datagram, advertisement: Advertisement) -> None:
        """Raise Discard unless the advertisement is authenticated as we are (RFC 2338 section 7.1)."""
        theirs = advertisement.auth_type
        if theirs not in NAMES:
            raise Discard(DiscardReason.AUTH_TYPE_INVALID, f"auth type {theirs}")
        if theirs != self.auth_type:
            raise Discard(
                DiscardReason.AUTH_TYPE_MISMATCH, f"auth type {NAMES[theirs]}, we expect {NAMES[self.auth_type]}"
            )

    def wrap(self, source: IPv4Address, destination: IPv4Address, message: bytes, ttl: int, *, unicast: bool) -> bytes:
        """The whole IPv4 packet; the kernel fills in the identification."""
        return build_ipv4(source, destination, message, ttl=ttl, identification=0)


class SimpleText(NoAuthentication):
    """Authentication type 1: an 8-byte password in clear, zero padded."""

    auth_type = 1

    def __init__(self, key: bytes) -> None:
        self.auth_data = key[:AUTH_DATA_LENGTH].ljust(AUTH_DATA_LENGTH, b"\0")

    def verify(self, datagram: Datagram, advertisement: Advertisement) -> None:
        """Compare the passwords in constant time."""
        super().verify(datagram, advertisement)
        if not compare_digest(advertisement.auth_data, self.auth_data):
            raise Discard(DiscardReason.AUTH_FAILURE, "the password differs")


class AuthenticationHeader(NoAuthentication):
    """Authentication type 2: HMAC-MD5-96 in an IP Authentication Header (RFC 2402, RFC 2403), IPv4 only.

    As keepalived does it: the key is the 8 bytes of auth_pass, the SPI is the source address, the TTL counts in the
    digest of a multicast packet and is taken as zero for unicast. One sequence counter serves both directions: what is
    accepted must be above it and sets it, what is sent goes one above it, so a router that takes over continues the
    sequence of the one before.
    """

    auth_type = 2
    protocol = PROTOCOL_AH
    _HEADER = struct.Struct("!BBHII")
    _DIGEST_LENGTH = 12
    LENGTH = _HEADER.size + _DIGEST_LENGTH

    def __init__(self, key: bytes, hmac_md5: Hmac, sequence: int = 0) -> None:
        self._key = key[:AUTH_DATA_LENGTH].ljust(AUTH_DATA_LENGTH, b"\0")
        self._hmac_md5 = hmac_md5
        self.sequence = sequence
        "the highest sequence number sent or accepted"

    def unwrap(self, datagram: Datagram) -> bytes:
        """The VRRP message behind the Authentication Header, which must be there and whole; nothing is verified yet."""
        if datagram.protocol != PROTOCOL_AH:
            raise Discard(DiscardReason.AUTH_TYPE_MISMATCH, "no Authentication Header, we expect AH")
        if len(datagram.payload) < self.LENGTH:
            raise Discard(DiscardReason.LENGTH, f"{len(datagram.payload)} bytes are no Authentication Header")
        next_header, length, _, _, _ = self._HEADER.unpack_from(datagram.payload)
        if next_header != PROTOCOL_VRRP or length != self.LENGTH // 4 - 2:
            raise Discard(DiscardReason.LENGTH, f"Authentication Header: next header {next_header}, length {length}")
        return datagram.payload[self.LENGTH :]

    def verify(self, datagram: Datagram, advertisement: Advertisement) -> None:
        """Check SPI, digest and sequence; the counter moves only for a packet that proved its key."""
        super().verify(datagram, advertisement)
        head = datagram.payload[: self._HEADER.size]
        _, _, _, spi, sequence = self._HEADER.unpack(head)
        if spi != int(datagram.source):
            raise Discard(DiscardReason.AUTH_FAILURE, f"AH: SPI {spi:#x} is not the source address")
        digest = datagram.payload[self._HEADER.size : self.LENGTH]
        message = datagram.payload[self.LENGTH :]
        unicast = not datagram.destination.is_multicast
        if not compare_digest(digest, self._digest(datagram.header, head, message, unicast=unicast)):
            raise Discard(DiscardReason.AUTH_FAILURE, "AH: the digest differs: another key, or changed on the way")
        if sequence <= self.sequence:
            raise Discard(DiscardReason.AUTH_REPLAY, f"AH: sequence {sequence} is not above {self.sequence}")
        self.sequence = sequence

    def wrap(self, source: IPv4Address, destination: IPv4Address, message: bytes, ttl: int, *, unicast: bool) -> bytes:
        """The whole IPv4 packet with the next sequence number; the identification is part of the digest, so ours."""
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        identification = self.sequence & 0xFFFF or 1  # the kernel would replace 0
        room = bytes(self.LENGTH) + message
        packet = build_ipv4(source, destination, room, protocol=PROTOCOL_AH, ttl=ttl, identification=identification)
        header = packet[:20]
        head = self._HEADER.pack(PROTOCOL_VRRP, self.LENGTH // 4 - 2, 0, int(source), self.sequence)
        return header + head + self._digest(header, head, message, unicast=unicast) + message

    def _digest(self, header: bytes, head: bytes, message: bytes, *, unicast: bool) -> bytes:
        """HMAC-MD5-96 over the IPv4 header with its mutable fields zero, the AH without digest, and the message."""
        fixed = bytearray(header)
        fixed[1] = 0  # TOS
        fixed[6:8] = b"\0\0"  # flags, fragment offset
        fixed[10:12] = b"\0\0"  # header checksum
        if unicast:
            fixed[8] = 0  # TTL
        covered = bytes(fixed) + head + bytes(self._DIGEST_LENGTH) + message
        return self._hmac_md5(self._key, covered)[: self._DIGEST_LENGTH]


Security = NoAuthentication
"what a virtual router authenticates with: NoAuthentication, SimpleText or AuthenticationHeader"
