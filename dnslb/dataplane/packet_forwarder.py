"""The sockets of the packet engine, which frames each of them has, and where those go; used by one thread alone."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections import Counter
from collections.abc import Iterator

from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.packet_filter import NOTHING, Plain, other_filter, plain_filter
from dnslb.dataplane.packet_other import OtherFrames
from dnslb.dataplane.packet_ring import (
    HEADER_MASK,
    LENGTH_SHIFT,
    PACKET_VNET_HDR,
    POSSIBLE,
    SOL_PACKET,
    Headers,
    PlainQueue,
    kernel_drops,
)
from dnslb.dataplane.packet_silence import Endpoint, Silence
from dnslb.decision import Decider, spread_of
from dnslb.forwarding import Counters, Forwarding, OnEmpty, Protocol, Service, Spread
from pyvrrp.core.events import IPAddress

ARPHRD_ETHER = 1
SEND_BUFFER = 4 << 20
SEND_TIMEOUT = struct.pack("ll", 0, 50_000)
"50 ms (struct timeval): a card that takes nothing must not hold the engine for ever"

Kind = tuple[Plain, Spread]
"what one queue is for"


class Gone(Exception):
    """The interface was deleted."""


class Forwarder:
    """Forwards frames of one interface; nothing until `apply` says what."""

    def __init__(self, interface: str, wake: int) -> None:
        """`wake` is an eventfd that ends a wait; raises OSError, and DataPlaneError for what is no Ethernet."""
        self._interface = interface
        self._wake = wake
        self._headers = Headers()
        self._silence = Silence()
        self._queues: dict[Kind, PlainQueue] = {}
        self._by_descriptor: dict[int, PlainQueue] = {}
        self._counted: Counter[int] = Counter()
        self._lost = 0
        with contextlib.ExitStack() as opened:
            self._transmitter = opened.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            self._transmitter.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            self._transmitter.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            self._transmitter.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_TIMEOUT)
            self._transmitter.bind((interface, 0))
            if self._transmitter.getsockname()[3] != ARPHRD_ETHER:
                raise DataPlaneError(f"packet: {interface} is no Ethernet interface")
            self._index = socket.if_nametoindex(interface)
            self._other = OtherFrames(interface)
            opened.callback(self._other.receiver.close)
            self._epoll = opened.enter_context(select.epoll())
            self._epoll.register(wake, select.EPOLLIN)
            self._epoll.register(self._other.receiver, select.EPOLLIN)
            self._opened = opened.pop_all()

    def turn(self) -> None:
        """Wait for frames and forward those that have come, of each kind a batch at most; raises Gone."""
        for descriptor, events in self._epoll.poll():
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
            elif queue := self._by_descriptor.get(descriptor):
                queue.forward(self._transmitter.fileno())
                self._clear(queue.receiver, events)
            else:
                self._other.forward(self._transmitter)
                self._clear(self._other.receiver, events)

    def apply(self, forwarding: Forwarding, held: frozenset[IPAddress]) -> None:
        """Forward by this from the next batch on; raises DataPlaneError or OSError, and then it changes nothing."""
        _refuse_local(forwarding)
        kinds = {kind: service for service in forwarding.services for kind in _kinds(service)}
        for kind in kinds.keys() - self._queues.keys():
            self._open(kind)
        self._silence.cover({endpoint for service in forwarding.services for endpoint in _endpoints(service)})
        for slot, destination in forwarding.destinations.items():
            self._headers.write(slot, destination.mac, forwarding.mac)
        active = [
            kind
            for kind, service in kinds.items()
            if service.address in held and service.table and forwarding.destinations.keys() >= set(service.table)
        ]
        for kind, queue in self._queues.items():
            if kind in active:
                queue.point([self._headers.address(slot) for slot in kinds[kind].table])
                queue.sort(plain_filter(forwarding.mac, forwarding.peers, kind[0]))
            else:
                queue.sort(NOTHING)
                queue.point(())
        addresses = list({service.address for service in forwarding.services} & held)
        program = other_filter(forwarding.mac, forwarding.peers, [plain for plain, _ in active], addresses)
        self._other.decide_by(Decider(forwarding, held), program)
        for kind in self._queues.keys() - kinds.keys():
            self._close(kind)

    def counters(self) -> Counters:
        """What was forwarded and passed since the beginning."""
        packets, octets = Counter(self._other.packets), Counter(self._other.octets)
        counted = sum((queue.counted for queue in self._queues.values()), self._counted)
        for header_and_length, count in counted.items():
            slot = self._headers.slot(header_and_length & HEADER_MASK)
            packets[slot] += count
            octets[slot] += count * (header_and_length >> LENGTH_SHIFT)
        sockets = [self._other.receiver, *(queue.receiver for queue in self._queues.values())]
        self._lost += sum(map(kernel_drops, sockets))
        lost = self._lost + self._other.lost + sum(queue.lost for queue in self._queues.values())
        return Counters(packets=packets, octets=octets, passed=Counter(self._other.passed), lost=lost)

    def close(self) -> None:
        """Close all; the stack of this node answers for itself again."""
        for kind in list(self._queues):
            self._close(kind)
        self._silence.close()
        self._opened.close()

    def _open(self, kind: Kind) -> None:
        queue = self._queues[kind] = PlainQueue(self._interface, *kind)
        self._by_descriptor[queue.receiver.fileno()] = queue
        self._epoll.register(queue.receiver, select.EPOLLIN)

    def _close(self, kind: Kind) -> None:
        queue = self._queues.pop(kind)
        del self._by_descriptor[queue.receiver.fileno()]
        self._epoll.unregister(queue.receiver)
        self._counted += queue.counted
        self._lost += queue.lost + kernel_drops(queue.receiver)
        queue.close()

    def _clear(self, receiver: socket.socket, events: int) -> None:
        """Take note of an error: the link went down, which it may, or the interface is no more; raises Gone."""
        if events & select.EPOLLERR:
            receiver.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            try:
                socket.if_indextoname(self._index)
            except OSError:
                raise Gone from None


def _kinds(service: Service) -> Iterator[Kind]:
    """The queues that a service needs: one for each way in which its plain frames are spread."""
    spreads: dict[Spread, set[Protocol]] = {}
    for protocol in service.protocols if POSSIBLE else ():
        spread = spread_of(service, protocol)
        kept = service.keep_flows and protocol is Protocol.TCP
        if spread is not Spread.QNAME and not kept:
            spreads.setdefault(spread, set()).add(protocol)
    for spread, protocols in spreads.items():
        yield Plain(service.address, service.port, frozenset(protocols)), spread


def _endpoints(service: Service) -> Iterator[Endpoint]:
    """Where the stack must not answer; with no server left it may, unless it is to drop."""
    if service.table or service.keep_flows or service.on_empty is OnEmpty.DROP:
        for protocol in service.protocols:
            yield service.address, service.port, protocol


def _refuse_local(forwarding: Forwarding) -> None:
    local = {slot: each for slot, each in forwarding.destinations.items() if each.local}
    for service in forwarding.services:
        for slot in local.keys() & set(service.table):
            raise DataPlaneError(
                f"packet: {local[slot].name} is on this node, and would answer every client of {service.address};"
                " use engine xdp or nft"
            )
