"""What the XDP program and this process share, octet for octet; pure.

Three maps of one large value each, so that a look-up costs the program once for all:

- a generation is all of a Forwarding but what the program's text says: destinations, services, peers and tables;
- held has a row for each address, which the program knows by its number: the row counted from 1;
- counters, one value per CPU.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from dnslb.dataplane import DataPlaneError
from dnslb.forwarding import (
    MAX_SERVICES,
    MAX_SLOTS,
    TABLE_SIZE,
    Counters,
    Forwarding,
    OnEmpty,
    Passed,
    Service,
)
from pyvrrp.core.events import IPAddress

XDP_PASS, XDP_TX = 2, 3
UDP_HEADER = 8

DESTINATION = struct.Struct("<6sH")
"the MAC address, and one of the next three"
ABSENT, SENT, LOCAL = 0, 1, 2
SERVICES = MAX_SLOTS * DESTINATION.size
SERVICE = struct.Struct("<IIII")
"""Buckets; where among the tables they begin, and DROP when a packet without a server is dropped; where in the counters
its turn is; 0."""
DROP = 1 << 31
MULTIPLIER = SERVICES + MAX_SERVICES * SERVICE.size
NOBODY = MULTIPLIER + 8
"0, which the verifier does not know"
PEERS = NOBODY + 8
PEER_ROWS_LOG2, PEER_PROBES = 11, 4
"""A peer is in the first of the PEER_PROBES rows from (key x multiplier) >> (64 - PEER_ROWS_LOG2) on that was free. The
key is the MAC address in the upper 48 bits, then 1; a row without a peer is 0."""
PEER_ROWS = (1 << PEER_ROWS_LOG2) + PEER_PROBES - 1
TABLES = PEERS + PEER_ROWS * 8
"one octet for each bucket: the slot"

HELD_ROW = struct.Struct("<16sII")
"the address (IPv4 as ::ffff:a.b.c.d), its number when it is held, else 0"
HELD_NUMBER = 16
HELD_ROWS = 2 * MAX_SERVICES
"those of one Forwarding, and those of the next beside them while the program is replaced"

COUNTER = struct.Struct("<QQ")
"packets and octets of a slot"
PASSED = MAX_SLOTS * COUNTER.size
TURNS = PASSED + 8 * len(Passed)
"by service: the bucket that Spread.PACKET takes next"
LAST_TURN = TURNS + 8 * (MAX_SERVICES - 1)
COUNTERS_SIZE = LAST_TURN + 8

FLOW = struct.Struct(">16s16sHH")
"client's address, service's address, client's port, service's port; to the slot, 32 bits"

SAMPLED = 280
"octets that a sample has of a UDP packet, from its header on: enough for the longest name"
SAMPLE = struct.Struct(f"<16sI4x{SAMPLED}s")
"client's address, IPv4 at its end; octets of the packet; the packet"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is in the program's text: whatever else a Forwarding says can change without another program."""

    mac: bytes
    services: tuple[Service, ...]
    "without their tables"
    room: int
    "buckets that all tables may have together"
    one_in: int = 0
    "of so many UDP packets one is put into the map of samples, by chance; 0: none"


def shape_of(forwarding: Forwarding) -> Shape:
    """Raises DataPlaneError for more than MAX_SERVICES services."""
    count = len(forwarding.services)
    if count > MAX_SERVICES:
        raise DataPlaneError(f"{count} services on one interface, {MAX_SERVICES} at most: spread them over several")
    largest = max((len(service.table) for service in forwarding.services), default=0)
    services = (replace(service, table=(), on_empty=OnEmpty.PASS) for service in forwarding.services)
    return Shape(forwarding.mac, tuple(services), count * max(largest, TABLE_SIZE))


def generation_size(shape: Shape) -> int:
    """Octets of a generation's value."""
    return (TABLES + shape.room + 7) // 8 * 8


def generation(forwarding: Forwarding, shape: Shape) -> bytes:
    """A Forwarding of this shape as the program reads it; equal tables are kept once. Raises DataPlaneError."""
    value = bytearray(generation_size(shape))
    for slot, destination in forwarding.destinations.items():
        way, mac = (LOCAL, bytes(6)) if destination.local else (SENT, destination.mac)
        DESTINATION.pack_into(value, slot * DESTINATION.size, mac, way)
    begins: dict[bytes, int] = {}
    end = 0
    for index, service in enumerate(forwarding.services):
        table = bytes(service.table)
        begin = begins.setdefault(table, end)
        if begin == end:
            value[TABLES + begin : TABLES + begin + len(table)] = table
            end += len(table)
        drop = DROP if service.on_empty is OnEmpty.DROP else 0
        SERVICE.pack_into(value, service_row(index), len(table), begin | drop, TURNS + 8 * index, 0)
    multiplier, rows = peer_rows(forwarding.peers)
    struct.pack_into(f"<{2 + PEER_ROWS}Q", value, MULTIPLIER, multiplier, 0, *rows)
    return bytes(value)


def sample_of(value: bytes) -> tuple[IPAddress, bytes]:
    """Client and UDP payload."""
    packed, length, datagram = SAMPLE.unpack(value)
    client = IPv4Address(packed[12:]) if not any(packed[:12]) else IPv6Address(packed)
    return client, datagram[UDP_HEADER:length]


def service_row(index: int) -> int:
    """Where in a generation a service is described."""
    return SERVICES + index * SERVICE.size


def peer_rows(peers: Iterable[bytes]) -> tuple[int, Sequence[int]]:
    """A multiplier, and the rows that it puts the peers into; raises DataPlaneError when they are too many."""
    keys = [int.from_bytes(mac, "little") << 16 | 1 for mac in sorted(peers)]
    for attempt in range(64):
        multiplier = 0x9E3779B97F4A7C15 * (2 * attempt + 1) & 0xFFFFFFFFFFFFFFFF
        rows = [0] * PEER_ROWS
        for key in keys:
            first = (key * multiplier & 0xFFFFFFFFFFFFFFFF) >> 64 - PEER_ROWS_LOG2
            row = next((row for row in range(first, first + PEER_PROBES) if rows[row] == 0), None)
            if row is None:
                break
            rows[row] = key
        else:
            return multiplier, rows
    raise DataPlaneError(f"{len(keys)} real servers and balancers on one interface are more than can be told apart")


def mapped(address: IPAddress) -> bytes:
    """An address as 16 octets."""
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def held_value(rows: Mapping[IPAddress, int], held: frozenset[IPAddress]) -> bytes:
    """The value of the map of held addresses; `rows` says which has which row."""
    value = bytearray(HELD_ROWS * HELD_ROW.size)
    for address, row in rows.items():
        HELD_ROW.pack_into(value, row * HELD_ROW.size, mapped(address), row + 1 if address in held else 0, 0)
    return bytes(value)


def held_rows(value: bytes) -> tuple[dict[IPAddress, int], frozenset[IPAddress]]:
    """Back from the value: the row of each address, and which are held."""
    rows: dict[IPAddress, int] = {}
    held = set()
    for row, (packed, number, _) in enumerate(HELD_ROW.iter_unpack(value)):
        if any(packed):
            v6 = IPv6Address(packed)
            address = v6.ipv4_mapped or v6
            rows[address] = row
            if number:
                held.add(address)
    return rows, frozenset(held)


def counters_of(values: bytes) -> Counters:
    """The sums over the CPUs; slots that nothing went to are left out."""
    packets: dict[int, int] = {}
    octets: dict[int, int] = {}
    passed = dict.fromkeys(Passed, 0)
    for begin in range(0, len(values), COUNTERS_SIZE):
        for slot in range(MAX_SLOTS):
            count, size = COUNTER.unpack_from(values, begin + slot * COUNTER.size)
            if count:
                packets[slot] = packets.get(slot, 0) + count
                octets[slot] = octets.get(slot, 0) + size
        for why, count in zip(Passed, struct.unpack_from(f"<{len(Passed)}Q", values, begin + PASSED), strict=True):
            passed[why] += count
    return Counters(packets=packets, octets=octets, passed=passed)
