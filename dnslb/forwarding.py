"""What every data plane is to do: which frames, by which hash, to which real server; pure.

A frame is balanced when it is an IPv4 or IPv6 packet, behind at most two VLAN tags (0x8100 or 0x88a8), sent to our own
MAC address by nobody of `peers`, whose destination is a service's address, which we hold, and

- UDP or TCP to the service's port: the bucket is chosen by the service's `spread`;
- a fragment of UDP or TCP, the first one included: the bucket of its source address alone, whatever the spread, for the
  later pieces have no ports, and all pieces must meet in one place; where several services share the address and the
  protocol, by the first of them in `services`. IPv6: whatever has a fragment header with UDP or TCP next to it;
- an ICMP error (destination unreachable, too big, time exceeded, parameter problem) about a packet that was sent from
  this same address and a service's port: it is relayed to the server that sent it, in the bucket of the client that the
  inner packet went to. Where no bucket can be derived from the client (UDP with spread PACKET or QNAME, or an inner
  packet that is a later fragment), it passes.

Balanced means: the destination MAC becomes the server's, the source MAC ours, nothing else is changed, and the frame
leaves by the interface that it came in by. All other frames pass to the local stack, untouched.

One after the other: a packet to a held address whose headers are not whole, or can't be, is MALFORMED; then its service
is found, or it passes uncounted; then PEER, NO_OWNER, EMPTY, LOCAL. `dnslb.headers` says which checks are made, and
`dnslb.decision` is this page as a program. Engines may pass, uncounted, what they can't read; none may send it astray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from types import MappingProxyType

from pyvrrp.core.events import IPAddress

SEED = 0x5EED
"of every flow hash: equal on all nodes and in all engines, so that a fail-over keeps each client at its server"

TABLE_SIZE = 4093
"buckets of a table: a prime number, at least a hundred times the servers for shares within one per cent (NSDI 2016)"

MAX_SLOTS = 256
MAX_SERVICES = 64
MAX_EXTENSION_HEADERS = 6
"IPv6 extension headers that are walked, the fragment header included; a packet with more passes (nft: no limit)"
MAX_FLOWS = 65536
"connections that are remembered on an interface; the least recently used is forgotten first"


class Protocol(IntEnum):
    """IP protocol numbers."""

    TCP = 6
    UDP = 17


class Spread(Enum):
    """How the bucket of a packet is chosen; TCP is spread by SOURCE_PORT where it says PACKET or QNAME."""

    SOURCE_PORT = "mh"
    "reciprocal_scale(jhash(source address . source port padded to 4 bytes, SEED), size of the table)"
    SOURCE = "sh"
    "reciprocal_scale(jhash(source address, SEED), size of the table)"
    PACKET = "wrr"
    "each UDP packet takes the next bucket"
    QNAME = "qname"
    """flow_hash.bucket_of_name of the first question's name, upper and lower case alike; SOURCE_PORT where there is no
    name behind the DNS header (headers.question_name)"""


class OnEmpty(Enum):
    """What becomes of a packet for a service with an empty table."""

    PASS = "pass"
    "the local stack gets it"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where frames of a slot go; one per real server of a virtual server."""

    name: str
    mac: bytes
    "6 bytes; of no meaning for a local one"
    local: bool = False
    "this node itself: the frame passes to the local stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One address and port and the table that spreads it."""

    address: IPAddress
    port: int
    protocols: frozenset[Protocol]
    spread: Spread = Spread.SOURCE_PORT
    table: Sequence[int] = ()
    "bucket to slot; () when there is no server; otherwise of TABLE_SIZE or another prime"
    on_empty: OnEmpty = OnEmpty.PASS
    keep_flows: bool = False
    """TCP: a segment without SYN goes where its flow went before, as long as that slot has a destination; so a server
    that drains keeps its connections. A SYN is always spread by the table and remembered. An ICMP error about a flow
    follows it. A segment that ends before its flags is MALFORMED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """All that a data plane of one interface has to know, except which addresses are held."""

    mac: bytes
    "the interface's own MAC address, 6 bytes"
    services: Sequence[Service] = ()
    "no two with the same address, port and protocol"
    destinations: Mapping[int, Destination] = field(default_factory=lambda: MappingProxyType({}))
    """By slot, 0 to MAX_SLOTS - 1. A server keeps its slot while it is configured. A slot without a destination gets
    nothing (Passed.EMPTY); one that no table names (it drains) gets the flows that it has."""
    peers: frozenset[bytes] = frozenset()
    "source MAC addresses of other balancers and of real servers: their frames are never balanced again (no loops)"


class Passed(Enum):
    """Why a frame that was meant for a service was not sent on; each is counted."""

    PEER = "from a peer"
    LOCAL = "for the server on this node"
    EMPTY = "no server"
    NO_OWNER = "an ICMP error that no bucket can be derived for"
    MALFORMED = "shorter than its headers say, or a header that can't be"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What went where since the data plane was opened; engines that can't tell a part leave it out."""

    packets: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    "by slot, local ones included"
    octets: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    "by slot, with the Ethernet header"
    passed: Mapping[Passed, int] = field(default_factory=lambda: MappingProxyType({}))
    lost: int = 0
    "frames that a user-space engine was too slow for, or could not send"
