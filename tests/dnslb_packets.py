"""Ethernet, IP, UDP, TCP, ICMP and DNS headers for the frames that dnslb is tested with; checksums are right."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

OWN_MAC = bytes.fromhex("02000000b001")
CLIENT_MAC = bytes.fromhex("0200000000c1")


def ethernet(packet: bytes, *, to: bytes = OWN_MAC, source: bytes = CLIENT_MAC, tags: tuple[int, ...] = ()) -> bytes:
    """A frame around an IP packet, its type by the packet's version; `tags` are the TPIDs of VLAN tags, outer first."""
    ethertype = 0x86DD if packet[:1] >= b"\x60" else 0x0800
    vlan = b"".join(struct.pack("!HH", tag, 5 + at) for at, tag in enumerate(tags))
    return to + source + vlan + ethertype.to_bytes(2) + packet


def ip(source: str, destination: str, protocol: int, payload: bytes, **options) -> bytes:
    """An IPv4 or IPv6 packet, by the kind of the addresses."""
    build = ipv6 if ":" in destination else ipv4
    return build(source, destination, protocol, payload, **options)


def ipv4(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    options: bytes = b"",
    fragment: int = 0,
    identification: int = 1,
) -> bytes:
    """`fragment` is the field of flags and offset: 0x2000 more fragments, 0x4000 don't fragment, offset in 8 octets."""
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | 5 + len(options) // 4,
        0,
        20 + len(options) + len(payload),
        identification,
        fragment,
        64,
        protocol,
        0,
        IPv4Address(source).packed,
        IPv4Address(destination).packed,
    )
    checksum = internet_checksum(head + options)
    return head[:10] + checksum.to_bytes(2) + head[12:] + options + payload


def ipv6(
    source: str, destination: str, protocol: int, payload: bytes, *, extensions: bytes = b"", first: int | None = None
) -> bytes:
    """`extensions` are the extension headers, the last of which says `protocol` too; `first` is the first's kind."""
    head = struct.pack("!IHBB", 0x60000000, len(extensions) + len(payload), protocol if first is None else first, 64)
    return head + IPv6Address(source).packed + IPv6Address(destination).packed + extensions + payload


def extension_chain(kinds: list[int], protocol: int, random: Random) -> bytes:
    """Extension headers one after another; `protocol` follows the last."""
    chain = b""
    for kind, following in zip(kinds, [*kinds, protocol][1:], strict=True):
        if kind == 44:
            chain += struct.pack("!BBHI", following, 0, 0, 7)
        elif kind == 51:
            chain += struct.pack("!BB", following, 4) + bytes(22)
        else:
            words = random.choice((0, 0, 1, 3))
            filling = words * 8 + 4
            chain += struct.pack("!BBBB", following, words, 1, filling) + bytes(filling)
    return chain


def internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def with_checksum(segment: bytes, at: int, source: str, destination: str, protocol: int) -> bytes:
    """A transport segment with its checksum, over the pseudo-header too, at the octet `at`."""
    pseudo = ip_address(source).packed + ip_address(destination).packed + struct.pack("!II", len(segment), protocol)
    checksum = internet_checksum(pseudo + segment) or 0xFFFF
    return segment[:at] + checksum.to_bytes(2) + segment[at + 2 :]


def udp(source: str, sport: int, destination: str, dport: int, payload: bytes) -> bytes:
    """A UDP datagram."""
    datagram = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    return with_checksum(datagram, 6, source, destination, UDP)


def tcp(source: str, sport: int, destination: str, dport: int, payload: bytes = b"", flags: int = ACK) -> bytes:
    """A TCP segment."""
    segment = struct.pack("!HHIIBBHHH", sport, dport, 1000, 2000, 5 << 4, flags, 8192, 0, 0) + payload
    return with_checksum(segment, 16, source, destination, TCP)


def icmp_error(source: str, destination: str, kind: int, returned: bytes, code: int = 0) -> bytes:
    """An ICMP or ICMPv6 error with the packet that it is about."""
    message = struct.pack("!BBHI", kind, code, 0, 1280) + returned
    if ":" in destination:
        return with_checksum(message, 2, source, destination, ICMPV6)
    return message[:2] + internet_checksum(message).to_bytes(2) + message[4:]


def query(name: bytes, tail: bytes = b"\0\0\x01\0\x01") -> bytes:
    """A DNS query; `name` in wire form without its final zero, which `tail` begins with."""
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + name + tail


def labels(name: str) -> bytes:
    """The wire form of a name without the final zero."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)


def client(random: Random, like: str) -> str:
    """The address of a client, of the same family as `like`."""
    if ":" in like:
        return str(IPv6Address(random.choice((0x2001_0DB8 << 96, 0x2A00 << 112)) | random.getrandbits(96)))
    return str(IPv4Address((random.choice((1, 128)) << 24) + random.randrange(95 << 24)))
