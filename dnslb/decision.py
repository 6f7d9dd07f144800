"""What becomes of one frame, as dnslb.forwarding says it: the oracle of all data planes; pure.

A `Decider` is a Forwarding made ready for look-ups. The packet engine asks it about every frame that is not of the
plain kind, the tests of all engines about each.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from dnslb.flow_hash import bucket_of_name, bucket_of_source, bucket_of_source_port
from dnslb.forwarding import MAX_FLOWS, Forwarding, OnEmpty, Passed, Protocol, Service, Spread
from dnslb.headers import (
    Datagram,
    Malformed,
    datagram,
    destination,
    ip_header,
    is_icmp_error,
    ports,
    question_name,
    returned,
)
from pyvrrp.core.events import IPAddress

FLAGS, SYN = 13, 0x02
"where the octet of flags is in a TCP header, and the flag that opens a connection"

Flow = tuple[bytes, int, bytes, int]
"the service's address and port, the client's address and port"


class Verdict(Enum):
    """What is done with a frame; named as XDP's are."""

    TX = "sent out by the interface that it came in by"
    PASS = "left to the local stack, untouched"
    DROP = "dropped"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and what is counted with it."""

    verdict: Verdict
    frame: bytes
    "with TX what leaves, otherwise what came"
    slot: int | None = None
    "counted, with the octets of the frame; set with TX and with Passed.LOCAL"
    passed: Passed | None = None
    "counted; None when the frame is sent, or was not meant for a service"


@dataclass(slots=True)
class Memory:
    """What a data plane remembers from one packet to the next; it changes with each decision."""

    flows: OrderedDict[Flow, int] = field(default_factory=OrderedDict)
    "the slot of each TCP connection to a service that keeps flows; the least recently used is the first to go"
    turns: dict[tuple[bytes, int], int] = field(default_factory=dict)
    "by address and port of the service: the UDP packets that Spread.PACKET has dealt out"

    def remember(self, flow: Flow, slot: int) -> None:
        """Note where a new connection goes."""
        self.flows[flow] = slot
        self.flows.move_to_end(flow)
        if len(self.flows) > MAX_FLOWS:
            self.flows.popitem(last=False)

    def recall(self, flow: Flow) -> int | None:
        """Where a connection went."""
        if flow in self.flows:
            self.flows.move_to_end(flow)
        return self.flows.get(flow)

    def turn(self, address: bytes, port: int) -> int:
        """How many packets a service has dealt out before this one."""
        turn = self.turns.get((address, port), 0)
        self.turns[address, port] = turn + 1
        return turn


class Decider:
    """Decides on frames for one Forwarding and the addresses that are held; neither changes."""

    def __init__(self, forwarding: Forwarding, held: frozenset[IPAddress]) -> None:
        self._forwarding = forwarding
        self._by_port: dict[tuple[bytes, int, int], Service] = {}
        self._first: dict[tuple[bytes, int], Service] = {}
        for service in forwarding.services:
            if service.address in held:
                for protocol in service.protocols:
                    self._by_port[service.address.packed, protocol, service.port] = service
                    self._first.setdefault((service.address.packed, protocol), service)
        self._addresses = {address for address, _ in self._first}

    def decide(self, frame: bytes, memory: Memory) -> Decision:
        """The decision on a frame with its VLAN tags."""
        at = ip_header(frame) if frame[:6] == self._forwarding.mac else 0
        if not at or destination(frame, at) not in self._addresses:
            return Decision(Verdict.PASS, frame)
        try:
            packet = datagram(frame, at)
            if is_icmp_error(frame, packet):
                return self._relay(frame, packet, memory)
            return self._balance(frame, packet, memory)
        except Malformed:
            return Decision(Verdict.PASS, frame, passed=Passed.MALFORMED)

    def _balance(self, frame: bytes, packet: Datagram, memory: Memory) -> Decision:
        """A packet from a client."""
        if packet.protocol not in (Protocol.UDP, Protocol.TCP):
            return Decision(Verdict.PASS, frame)
        if packet.fragment:
            service = self._first.get((packet.destination, packet.protocol))
            port = service_port = 0
        else:
            port, service_port = ports(frame, packet.payload)
            service = self._by_port.get((packet.destination, packet.protocol, service_port))
        if service is None:
            return Decision(Verdict.PASS, frame)
        flow = (packet.destination, service_port, packet.source, port)
        keeps = service.keep_flows and packet.protocol == Protocol.TCP and not packet.fragment
        opens = keeps and _opens(frame, packet.payload)
        if frame[6:12] in self._forwarding.peers:
            return Decision(Verdict.PASS, frame, passed=Passed.PEER)
        slot = self._kept(memory, flow) if keeps and not opens else None
        if slot is None:
            slot = self._spread(frame, packet, service, port, memory)
            if opens and slot is not None:
                memory.remember(flow, slot)
        return self._send(frame, service, slot)

    def _relay(self, frame: bytes, error: Datagram, memory: Memory) -> Decision:
        """An ICMP error about an answer: what was its destination is the client."""
        answer = returned(frame, error)
        if answer.source != error.destination or answer.protocol not in (Protocol.UDP, Protocol.TCP):
            return Decision(Verdict.PASS, frame)
        if answer.fragment:
            service = self._first.get((answer.source, answer.protocol))
            port = service_port = 0
        else:
            service_port, port = ports(frame, answer.payload)
            service = self._by_port.get((answer.source, answer.protocol, service_port))
        if service is None:
            return Decision(Verdict.PASS, frame)
        if frame[6:12] in self._forwarding.peers:
            return Decision(Verdict.PASS, frame, passed=Passed.PEER)
        spread = spread_of(service, answer.protocol)
        if answer.fragment or spread in (Spread.PACKET, Spread.QNAME):
            return Decision(Verdict.PASS, frame, passed=Passed.NO_OWNER)
        slot = None
        if service.keep_flows and answer.protocol == Protocol.TCP:
            slot = self._kept(memory, (answer.source, service_port, answer.destination, port))
        if slot is None and service.table:
            slot = service.table[_bucket_of_client(spread, answer.destination, port, len(service.table))]
        return self._send(frame, service, slot)

    def _spread(self, frame: bytes, packet: Datagram, service: Service, port: int, memory: Memory) -> int | None:
        """The slot that the table gives a client's packet; None with an empty table."""
        size = len(service.table)
        if not size:
            return None
        spread = Spread.SOURCE if packet.fragment else spread_of(service, packet.protocol)
        name = question_name(frame, packet.payload) if spread is Spread.QNAME else None
        if spread is Spread.PACKET:
            bucket = memory.turn(packet.destination, service.port) % size
        elif name is not None:
            bucket = bucket_of_name(name, size)
        else:
            bucket = _bucket_of_client(spread, packet.source, port, size)
        return service.table[bucket]

    def _kept(self, memory: Memory, flow: Flow) -> int | None:
        """The slot that a flow went to, if that has a destination still."""
        slot = memory.recall(flow)
        return slot if slot in self._forwarding.destinations else None

    def _send(self, frame: bytes, service: Service, slot: int | None) -> Decision:
        destination = None if slot is None else self._forwarding.destinations.get(slot)
        if destination is None:
            verdict = Verdict.DROP if service.on_empty is OnEmpty.DROP else Verdict.PASS
            return Decision(verdict, frame, passed=Passed.EMPTY)
        if destination.local:
            return Decision(Verdict.PASS, frame, slot, Passed.LOCAL)
        return Decision(Verdict.TX, destination.mac + self._forwarding.mac + frame[12:], slot)


def spread_of(service: Service, protocol: int) -> Spread:
    """TCP packets of one connection must stay together."""
    per_packet = service.spread in (Spread.PACKET, Spread.QNAME)
    return Spread.SOURCE_PORT if per_packet and protocol == Protocol.TCP else service.spread


def _bucket_of_client(spread: Spread, address: bytes, port: int, size: int) -> int:
    """By address and port, unless the spread is by the address alone."""
    return bucket_of_source(address, size) if spread is Spread.SOURCE else bucket_of_source_port(address, port, size)


def _opens(frame: bytes, tcp: int) -> bool:
    """Whether a TCP segment has SYN; raises Malformed when it ends before."""
    if len(frame) <= tcp + FLAGS:
        raise Malformed
    return bool(frame[tcp + FLAGS] & SYN)
