"""Who holds a VIP and who advertises, at every moment: nothing is polled, the kernel tells it."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import takewhile
from math import inf
from threading import Thread

from harness.client import SO_TIMESTAMPNS, arrival
from pyvrrp.demo.lab import Host

RTM_NEWADDR, RTM_DELADDR = 20, 21
RTMGRP_IPV4_IFADDR = 0x10
IFA_LOCAL = 2
CLIENT = ""
PROTOCOL_VRRP = 112
GROUP = "224.0.0.18"
_NLMSGHDR, _IFADDRMSG, _RTATTR = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")

Span = tuple[float, float]
"from when to when; infinite while it lasts"


@dataclass(frozen=True, slots=True)
class Heard:
    """An advertisement as the client's machine received it."""

    time: float
    host: str
    priority: int


class Observer:
    """Listens in the hosts' namespaces to the kernel and at the client to advertisements, on one thread."""

    def __init__(self, client: Host, vip: str, vrid: int) -> None:
        self.heard: list[Heard] = []
        self.overruns = 0
        "the kernel could not tell everything; the figures are then worth nothing"
        self._vip = IPv4Address(vip).packed
        self._vrid = vrid
        self._sources: dict[bytes, str] = {}
        self._held: dict[str, list[list[float]]] = {}
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[str, socket.socket] = {}
        self._closed = False
        self._add(client.call(lambda: _advertisements(client.interface)), CLIENT)
        self._thread = Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def watch(self, host: Host, source: str) -> None:
        """Watch a host, known on the wire by the address `source`; it must not hold the VIP yet."""
        self._sources[IPv4Address(source).packed] = host.name
        self._held[host.name] = []
        self._add(host.call(_address_changes), host.name)

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        self._thread.join()
        for listening in self._sockets.values():
            listening.close()
        self._selector.close()

    def holders(self) -> set[str]:
        """Who holds the VIP now."""
        return {host for host, spans in self._held.items() if spans and spans[-1][1] == inf}

    def spans(self, host: str) -> list[Span]:
        """When a host held the VIP."""
        return [(begin, end) for begin, end in self._held[host]]

    def advertisers(self, since: float, until: float = inf) -> list[Heard]:
        """The advertisements of a time, without those of priority 0."""
        return [heard for heard in self.since(since) if heard.time < until and heard.priority > 0]

    def since(self, since: float) -> list[Heard]:
        """All advertisements that arrived at `since` or later."""
        return list(takewhile(lambda heard: heard.time >= since, reversed(self.heard)))[::-1]

    def _add(self, listening: socket.socket, host: str) -> None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sockets[host] = listening
        self._selector.register(listening, selectors.EVENT_READ, host)

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(0.1):
                if key.data != CLIENT:
                    self._read_changes(key.data)
                else:
                    self._read_advertisement()

    def _read_changes(self, host: str) -> None:
        try:
            data = self._sockets[host].recv(65536)
        except OSError:  # ENOBUFS
            self.overruns += 1
            return
        now = time.monotonic()
        spans = self._held[host]
        for kind, address in _addresses(data):
            if address != self._vip:
                continue
            holds = bool(spans) and spans[-1][1] == inf
            if kind == RTM_NEWADDR and not holds:
                spans.append([now, inf])
            elif kind == RTM_DELADDR and holds:
                spans[-1][1] = now

    def _read_advertisement(self) -> None:
        try:
            packet, ancillary, _, _ = self._sockets[CLIENT].recvmsg(2048, 64)
        except OSError:  # the client's interface went down
            return
        at = (packet[0] & 15) * 4
        if len(packet) >= at + 3 and packet[at + 1] == self._vrid and packet[12:16] in self._sources:
            self.heard.append(Heard(arrival(ancillary), self._sources[packet[12:16]], packet[at + 2]))


def overlap(spans_by_host: Iterable[Sequence[Span]], begin: float, end: float) -> float:
    """For how many seconds between `begin` and `end` two or more of them held it."""
    steps: list[tuple[float, int]] = []
    for spans in spans_by_host:
        for first, last in spans:
            if (first := max(first, begin)) < (last := min(last, end)):
                steps += [(first, 1), (last, -1)]
    total, holders, since = 0.0, 0, begin
    for at, step in sorted(steps):
        if holders >= 2:
            total += at - since
        holders, since = holders + step, at
    return total


def without(spans: Sequence[Span], cut: Sequence[Span]) -> list[Span]:
    """The spans less the times in `cut`."""
    for begin, end in cut:
        pieces = [((first, min(last, begin)), (max(first, end), last)) for first, last in spans]
        spans = [(first, last) for pair in pieces for first, last in pair if first < last]
    return list(spans)


def _address_changes() -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    netlink.bind((0, RTMGRP_IPV4_IFADDR))
    return netlink


def _advertisements(interface: str) -> socket.socket:
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL_VRRP)
    raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    index = socket.if_nametoindex(interface)
    membership = struct.pack("@4s4si", socket.inet_aton(GROUP), b"", index)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return raw


def _addresses(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and the address of each message of a netlink datagram."""
    at = 0
    while at + _NLMSGHDR.size <= len(data):
        length, kind, _, _, _ = _NLMSGHDR.unpack_from(data, at)
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            attribute, end = at + _NLMSGHDR.size + _IFADDRMSG.size, at + length
            while attribute + _RTATTR.size <= end:
                size, name = _RTATTR.unpack_from(data, attribute)
                if name == IFA_LOCAL:
                    yield kind, data[attribute + _RTATTR.size : attribute + size]
                attribute += (size + 3) & ~3
        at += (length + 3) & ~3
