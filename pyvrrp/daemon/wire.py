"""One interface: its sockets, who listens on it, and the pace of its announcements."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from pyvrrp.core.announcement import Frame
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, Datagram
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import IPAddress
from pyvrrp.core.reception import vrid_of
from pyvrrp.host.packet_socket import PacketSocket
from pyvrrp.host.vrrp_socket import VrrpSocket

_LOG = logging.getLogger("pyvrrp")
_PROTOCOLS = (PROTOCOL_VRRP, PROTOCOL_AH)


class Listener(Protocol):
    """A virtual router as the wire sees it."""

    def heard(self, datagram: Datagram) -> None:
        """Take a packet that claims this router's VRID."""


class Wire:
    """The sockets of one interface as long as it has one index; a new index needs a new Wire."""

    def __init__(self, interface: str, index: int) -> None:
        self.interface = interface
        self.index = index
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

    def _readable(self, opened: VrrpSocket, receiver: socket.socket, family: int) -> None:
        for received in opened.receive(receiver):
            if isinstance(received, Discard):
                self.discarded[received.reason] += 1
                continue
            try:
                listeners = self._listeners.get((family, vrid_of(received)))
            except Discard as refused:
                self.discarded[refused.reason] += 1
                continue
            if not listeners:
                self.discarded[DiscardReason.VRID] += 1
                continue
            for listener in listeners:
                listener.heard(received)
