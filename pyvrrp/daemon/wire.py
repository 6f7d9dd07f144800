"""One interface: its sockets, who listens on it, and the pace of its announcements."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pyvrrp.core.announcement import Frame
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, Datagram
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import IPAddress
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import vrid_of
from pyvrrp.daemon.mac_finder import MacFinder
from pyvrrp.daemon.strangers import Strangers
from pyvrrp.host.packet_socket import PacketSocket
from pyvrrp.host.vrrp_socket import VrrpSocket

_LOG = logging.getLogger("pyvrrp")
_PROTOCOLS = (PROTOCOL_VRRP, PROTOCOL_AH)


class Listener(Protocol):
    """A virtual router as the wire sees it."""

    @property
    def name(self) -> str:
        """The vrrp_instance."""

    @property
    def parameters(self) -> Parameters:
        """Its VRID, VIPs and advert_int."""

    @property
    def source(self) -> IPAddress | None:
        """The address that it advertises from."""

    def heard(self, datagram: Datagram) -> bool:
        """Take a packet that claims this router's VRID; False: it is refused."""

    def complain(self, datagram: Datagram) -> None:
        """Tell of a packet that was refused, just now, by every virtual router with this VRID."""

    def saw(self, source: IPAddress, mac: str, now: float) -> None:
        """A packet with this router's VRID came from this MAC."""


class Wire:
    """The sockets of one interface as long as it has one index; a new index needs a new Wire."""

    def __init__(
        self, interface: str, index: int, finder: MacFinder, clock: Callable[[], float], mac: Callable[[], str]
    ) -> None:
        """`mac` tells the interface's own; `clock` is monotonic, in seconds."""
        self.interface = interface
        self.index = index
        self.finder = finder
        self.strangers = Strangers(interface, mac, self, finder)
        self._clock = clock
        self.discarded: Counter[DiscardReason] = Counter()
        "packets refused before a virtual router was known (RFC 6527: the router-wide counters)"
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, VrrpSocket] = {}
        self._listeners: dict[tuple[int, int], list[Listener]] = {}
        self._packet_socket: PacketSocket | None = None

    def listen(
        self, listener: Listener, family: int, vrid: int, group: IPAddress | None, receive_buffer: int | None
    ) -> None:
        """Hand every packet of this family and VRID to `listener`; `group` None: unicast only.

        Raises MissingCapability and OSError.
        """
        opened = self._sockets.get(family)
        if opened is None:
            opened = VrrpSocket(family, self.interface, self.index, protocols=_PROTOCOLS, receive_buffer=receive_buffer)
            for receiver in opened.receivers:
                self._loop.add_reader(receiver, self._readable, opened, receiver, family)
            self._sockets[family] = opened
        if group is not None:
            opened.join(group)
        self._listeners.setdefault((family, vrid), []).append(listener)
        self.strangers.register.drop(vrid, family)
        self.finder.look_for_ourselves()

    def leave(self, listener: Listener, family: int, vrid: int, group: IPAddress | None) -> None:
        """Take back one `listen`."""
        listeners = self._listeners.get((family, vrid), [])
        if listener not in listeners:
            return
        listeners.remove(listener)
        if group is not None and family in self._sockets:
            self._sockets[family].leave(group)

    def send(self, family: int, packet: bytes, source: IPAddress, destination: IPAddress, ttl: int) -> None:
        """Send one advertisement; raises OSError."""
        self._sockets[family].send(packet, source, destination, ttl)

    def announce(self, frames: Sequence[Frame]) -> int:
        """Send frames; the number that left. An error is logged, the rest of the frames is not tried."""
        sent = 0
        try:
            if self._packet_socket is None:
                self._packet_socket = PacketSocket(self.interface)
            for frame in frames:
                self._packet_socket.send(frame.data)
                sent += 1
        except OSError as error:
            _LOG.warning("%s: can't announce %s: %s", self.interface, frames[sent].address, error.strerror or error)
        return sent

    def close(self) -> None:
        """Close every socket."""
        for opened in self._sockets.values():
            for receiver in opened.receivers:
                self._loop.remove_reader(receiver)
            opened.close()
        self._sockets.clear()
        self._listeners.clear()
        if self._packet_socket is not None:
            self._packet_socket.close()
            self._packet_socket = None

    @property
    def own_sources(self) -> dict[IPAddress, float]:
        """The addresses that virtual routers here advertise from, each with the longest advert_int, in seconds."""
        found: dict[IPAddress, float] = {}
        for listener in self._each():
            if (source := listener.source) is not None:
                found[source] = max(found.get(source, 0.0), listener.parameters.advert_int)
        return found

    def saw(self, mac: str, datagram: Datagram) -> None:
        """A frame with this packet came from `mac`."""
        try:
            vrid = vrid_of(datagram)
        except Discard:
            return
        now, source = self._clock(), datagram.source
        if source.version == 4 and source in self.own_sources:
            self.strangers.heard_ourselves(vrid, source, now)  # the raw socket never hears it
        self.strangers.saw(vrid, source, mac, now)
        for listener in self._listeners.get((source.version, vrid), ()):
            listener.saw(source, mac, now)

    @property
    def owners(self) -> dict[IPAddress, tuple[str, int]]:
        """Our VIPs -> the vrrp_instance and its VRID."""
        return {vip: (each.name, each.parameters.vrid) for each in self._each() for vip in each.parameters.addresses}

    def _each(self) -> Iterator[Listener]:
        return (listener for listeners in self._listeners.values() for listener in listeners)

    def _readable(self, opened: VrrpSocket, receiver: socket.socket, family: int) -> None:
        for received in opened.receive(receiver):
            if isinstance(received, Discard):
                self.discarded[received.reason] += 1
                continue
            try:
                vrid = vrid_of(received)
            except Discard as refused:
                self.discarded[refused.reason] += 1
                continue
            listeners = self._listeners.get((family, vrid))
            if listeners:
                accepted = [listener.heard(received) for listener in listeners]
                if True not in accepted:
                    for listener in listeners:
                        listener.complain(received)
                continue
            self.discarded[DiscardReason.VRID] += 1
            self.strangers.heard(vrid, received, self._clock())
