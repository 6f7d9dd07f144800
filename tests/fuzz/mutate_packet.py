"""Packets that are nearly right: fields changed, then mostly lengths, checksum and digest put right again."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from random import Random

from pyvrrp.core.auth import AuthenticationHeader
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, internet_checksum, pseudo_header
from pyvrrp.host.crypto import hmac_md5
from tests.fuzz.packets import GROUPS, IPV6_HEADER, KEY, OURS, STATES, VARIANTS

AH_LENGTH = AuthenticationHeader.LENGTH
_SEALING = AuthenticationHeader(KEY, hmac_md5)
_INTERESTING = {
    "version": (0x21, 0x31, 0x22, 0x20, 0x11, 0x41, 0x30),
    "vrid": (51, 0, 255, 61, 62),
    "priority": (0, 1, 99, 100, 101, 254, 255),
    "count": (0, 1, 2, 3, 254, 255),
    "auth_type": (0, 1, 2, 3, 0x0F, 0xF0),
    "interval": (0, 1, 2, 25, 100, 255),
    "ttl": (0, 1, 63, 64, 254, 255),
}
_OFFSETS = {"version": 0, "vrid": 1, "priority": 2, "priority again": 2, "count": 3, "auth_type": 4, "interval": 5}
_AH_VALUES = ((20, b"\x70\x33\0"), (21, b"\4\0\5"), (30, b"\0\1"), (31, b"\0\5\6\7"), (34, b"\0\1"))
"next header, length, two bytes of the sequence number, the digest"
_FIELDS = (*_OFFSETS, "ttl", "protocol", "source", "destination", "addresses", "body", "AH", "IP", "bit", "length")


def mutate_packet(random: Random, seeds: list[bytes]) -> bytes:
    """A packet, with the two bytes before it (see `packets`)."""
    pick = random.randrange
    seed = seeds[pick(len(seeds))].ljust(2, b"\0")
    number, state = seed[0] % len(VARIANTS), pick(len(STATES))
    family = VARIANTS[number].parameters.family
    if random.random() < 0.02:
        return bytes((number, state)) + random.randbytes(pick(100))
    if random.random() < 0.03:
        number = pick(len(VARIANTS))  # a packet for another
    packet = bytearray(seed[2:])
    for _ in range(1 + (pick(4) == 0) + (pick(8) == 0) * pick(5)):
        _change(random, packet, family)
    if family == VARIANTS[number].parameters.family and random.random() < 0.85:
        _put_right(packet, family, as_v2=pick(8) == 0)
    return bytes((number, state)) + packet


def _message_at(packet: bytearray, family: int) -> int:
    if family == 6:
        return IPV6_HEADER
    return (packet[0] & 0x0F) * 4 + (AH_LENGTH if packet[9] == PROTOCOL_AH else 0)


def _change(random: Random, packet: bytearray, family: int) -> None:
    pick = random.randrange
    if len(packet) < 24:
        packet += random.randbytes(24)
    at = _message_at(packet, family)
    source_at, size = (12, 4) if family == 4 else (8, 16)
    match _FIELDS[pick(len(_FIELDS))]:
        case "ttl":
            packet[8 if family == 4 else 7] = _one_of(random, "ttl")
        case "protocol":
            packet[9 if family == 4 else 6] = (PROTOCOL_VRRP, PROTOCOL_AH, pick(256))[pick(3)]
        case "source":
            packet[source_at : source_at + size] = (OURS[family].packed, random.randbytes(size))[pick(3) > 0]
        case "destination":
            choices = (OURS[family].packed, GROUPS[family].packed, random.randbytes(size))
            packet[source_at + size : source_at + 2 * size] = choices[pick(3)]
        case "addresses" if len(packet) > at + 8:
            _change_addresses(random, packet, at + 8, size)
        case "body" if len(packet) > at + 8:
            packet[pick(at + 8, len(packet))] = pick(256)
        case "AH" if family == 4 and packet[9] == PROTOCOL_AH and len(packet) > 44:
            where, values = ((20, b"\x70\x33\0"), (21, b"\4\0\5"), (30, b"\0\1"), (31, b"\0\5\6\7"), (34, b"\0\1"))[
                pick(5)
            ]
            packet[where] = values[pick(len(values))]
        case "IP":
            packet[pick(min(len(packet), 20))] = pick(256)
        case "bit":
            packet[pick(len(packet))] ^= 1 << pick(8)
        case "length":
            if pick(2):
                packet += random.randbytes(pick(40))
            else:
                del packet[pick(len(packet)) :]
        case field if field in _OFFSETS and len(packet) > at + 8:
            packet[at + _OFFSETS[field]] = _one_of(random, field)
        case _:
            pass


def _one_of(random: Random, field: str) -> int:
    values = _INTERESTING[field.removesuffix(" again")]
    at = random.randrange(len(values) + 1)
    return values[at] if at < len(values) else random.randrange(256)


def _change_addresses(random: Random, packet: bytearray, at: int, size: int) -> None:
    """Another number of addresses, which the count tells of."""
    count = random.randrange(5) if random.randrange(20) else random.randrange(256)
    packet[at : at + packet[at - 5] * size] = random.randbytes(count * size)
    packet[at - 5] = count


def _put_right(packet: bytearray, family: int, *, as_v2: bool) -> None:
    if family == 6 or len(packet) < 20 or (packet[0] & 0x0F) < 5:
        header = IPV6_HEADER
        if family == 4 or len(packet) < header + 8:
            return
        source, destination = IPv6Address(bytes(packet[8:24])), IPv6Address(bytes(packet[24:40]))
    else:
        header = (packet[0] & 0x0F) * 4
        packet[2:4] = (len(packet) & 0xFFFF).to_bytes(2)
        source, destination = IPv4Address(bytes(packet[12:16])), IPv4Address(bytes(packet[16:20]))
    at = _message_at(packet, family)
    if len(packet) < at + 8:
        return
    packet[at + 6 : at + 8] = b"\0\0"
    covered = b""
    if family == 6 or (packet[at] >> 4 != 2 and not as_v2):
        covered = pseudo_header(source, destination, len(packet) - at, PROTOCOL_VRRP)
    packet[at + 6 : at + 8] = internet_checksum(covered + packet[at:]).to_bytes(2)
    if family == 4 and at == header + AH_LENGTH:
        packet[header + 4 : header + 8] = source.packed
        head, message = bytes(packet[header : header + 12]), bytes(packet[at:])
        unicast = not destination.is_multicast
        packet[header + 12 : at] = _SEALING._digest(bytes(packet[:header]), head, message, unicast=unicast)
