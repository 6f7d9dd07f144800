"""What the kernel knows of this node and of its neighbours, followed by netlink on the daemon's loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Collection
from ipaddress import ip_interface

from dnslb.balancer import rtnetlink
from dnslb.balancer.neighbours import Neighbours
from dnslb.balancer.rtnetlink import DUMPS, End, Gone, Link, Neighbour, OwnAddress, Route
from pyvrrp.core.events import IPAddress

_LOG = logging.getLogger("dnslb")
_BUFFER = 1 << 16
_RECEIVE_BUFFER = 1 << 20
"bytes of events that may wait while the loop is busy"
_MOST = 64
"datagrams read at one wake-up"
_SO_RCVBUFFORCE = 33


class Surroundings:
    """Links, own addresses, and the neighbour entries of the addresses that are watched."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called on the loop, once for what came together; raises OSError."""
        self.links: dict[str, Link] = {}
        "by name"
        self.addresses: set[OwnAddress] = set()
        self.neighbours = Neighbours()
        self._changed = changed
        self._names: dict[int, str] = {}
        self._dumps: list[int] = []
        self._number = 0
        self._loop = asyncio.get_running_loop()
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            with contextlib.suppress(OSError):  # without CAP_NET_ADMIN the default has to do
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
            self._socket.bind((0, rtnetlink.GROUPS))
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._read_anew()

    @property
    def complete(self) -> bool:
        """Everything has been read; while it is not, nothing follows from what is not there."""
        return not self._dumps

    def watch(self, addresses: Collection[IPAddress]) -> None:
        """Keep the neighbour entries of these addresses."""
        if self.neighbours.watch(addresses):
            self._read_anew()

    def is_own(self, address: IPAddress) -> bool:
        """Whether this node has it, or it is a loopback address."""
        return address.is_loopback or any(own.address == address for own in self.addresses)

    def on_link(self, interface: str, address: IPAddress) -> bool:
        """Whether the interface has an address in whose network this one is."""
        link = self.links.get(interface)
        return link is not None and any(
            own.index == link.index
            and own.address.version == address.version
            and own.prefixlen < own.address.max_prefixlen
            and address in ip_interface(f"{own.address}/{own.prefixlen}").network
            for own in self.addresses
        )

    def route(self, address: IPAddress) -> Route | None:
        """The way to an address; None: there is none, or the kernel gives no answer."""
        with contextlib.suppress(OSError), self._ask() as asked:
            asked.send(rtnetlink.route_request(address))
            return rtnetlink.route_of(asked.recv(_BUFFER))
        return None

    def interface(self, index: int) -> str:
        """The name of an interface; empty when it is gone."""
        return self._names.get(index, "")

    def probe(self, interface: str, address: IPAddress) -> None:
        """Have the kernel see whether a neighbour is still there; what comes of it is an event."""
        link = self.links.get(interface)
        if link is not None:
            with contextlib.suppress(OSError):  # the next second tries again
                self._socket.send(rtnetlink.probe_request(link.index, address))

    def close(self) -> None:
        """Hear no more."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    def _ask(self) -> socket.socket:
        asked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        asked.settimeout(1.0)
        return asked

    def _read_anew(self) -> None:
        """Dump everything, one kind after the other: a socket has one dump at a time."""
        running, self._dumps = self._dumps[:1], [*self._dumps[:1], *DUMPS]
        if not running:
            self._next_dump()

    def _next_dump(self) -> None:
        if not self._dumps:
            return
        self._number += 1
        if self._dumps[0] == DUMPS[0]:
            self.links.clear()
            self.addresses.clear()
        with contextlib.suppress(OSError):
            self._socket.send(rtnetlink.dump_request(self._dumps[0], self._number))

    def _readable(self) -> None:
        news = False
        for _ in range(_MOST):
            try:
                datagram = self._socket.recv(_BUFFER)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    _LOG.error("netlink: %s", error.strerror)
                    break
                self._read_anew()  # events were lost
                continue
            for fact in rtnetlink.facts(datagram):
                news = self._take(fact) or news
        if news and self.complete:
            self._changed()

    def _take(self, fact: rtnetlink.Fact) -> bool:
        """Whether something that matters changed."""
        match fact:
            case End():
                return self._dumped(fact)
            case Link():
                self._names[fact.index] = fact.name
                self.links = {name: link for name, link in self.links.items() if link.index != fact.index}
                self.links[fact.name] = fact
            case OwnAddress():
                self.addresses.add(fact)
            case Neighbour():
                return self.neighbours.heard(fact, dumped=bool(self._dumps))
            case Gone(Link() as link):
                self._names.pop(link.index, None)
                if self.links.get(link.name, link).index == link.index:
                    self.links.pop(link.name, None)
                self.neighbours.forget(link.index)
            case Gone(OwnAddress() as own):
                self.addresses.discard(own)
            case Gone(Neighbour()):  # collected as garbage: the MAC address is not known to be wrong
                return False
        return True

    def _dumped(self, end: End) -> bool:
        if end.number != self._number or not self._dumps:
            return False
        if not end.disturbed:
            self._dumps.pop(0)
        self._next_dump()
        return self.complete
