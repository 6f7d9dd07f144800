"""The raw sockets that carry advertisements, per interface and family."""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from ipaddress import IPv6Address

from pyvrrp.core.datagram import PROTOCOL_VRRP, Datagram, parse_ipv4
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import IPAddress
from pyvrrp.host.capabilities import MissingCapability
from pyvrrp.host.packet_socket import TC_PRIO_CONTROL

_LOG = logging.getLogger(__name__)

# The socket module lacks these (linux/in.h, asm-generic/socket.h).
_IP_MULTICAST_ALL = 49
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33

_TRAFFIC_CLASS = 0xC0
_BATCH = 64
"datagrams per protocol and call of `receive`"
_BUFFER = 8192
"bytes; the longest advertisement (255 IPv6 addresses and a trailer) has 4116"

_INT = struct.Struct("@i")
_IN6_PKTINFO = struct.Struct("@16si")
_ANCILLARY_BUFFER = socket.CMSG_SPACE(_INT.size) + socket.CMSG_SPACE(_IN6_PKTINFO.size)

_ipv6_address = lru_cache(maxsize=1024)(IPv6Address)


class VrrpSocket:
    """Receives and sends the VRRP packets of one family on one interface.

    Memberships survive a link that goes down and up. A deleted interface takes the socket with it: nothing arrives and
    sending fails, also when the name comes back; open a new one with the new index.
    """

    receivers: tuple[socket.socket, ...]
    "one per protocol, for loop.add_reader"

    def __init__(
        self,
        family: int,
        interface: str,
        index: int,
        *,
        protocols: Sequence[int] = (PROTOCOL_VRRP,),
        receive_buffer: int | None = None,
    ) -> None:
        """`family` is 4 or 6, `index` the interface's, `receive_buffer` in bytes (None: the system's default).

        Raises MissingCapability, and OSError when there is no such interface.
        """
        self._ipv4 = family == 4
        self._interface = interface
        self._index = index
        self._joined: Counter[IPAddress] = Counter()
        self._targets: dict[IPAddress, tuple[int, tuple[str, int] | tuple[str, int, int, int]]] = {}
        self._told: int | None = None
        with ExitStack() as opened:
            try:
                self.receivers = tuple(opened.enter_context(self._open(protocol)) for protocol in protocols)
                self._sender = opened.enter_context(self._open(socket.IPPROTO_RAW if self._ipv4 else PROTOCOL_VRRP))
                for receiver in self.receivers:
                    self._prepare_receiver(receiver, receive_buffer)
                self._prepare_sender()
            except PermissionError as error:
                raise MissingCapability("CAP_NET_RAW") from error
            except OSError as error:
                error.filename = interface
                raise
            opened.pop_all()

    def join(self, group: IPAddress) -> None:
        """Receive what is sent to a multicast group; every join needs its own leave.

        Raises OSError, ENODEV when the interface is gone.
        """
        if not self._joined[group]:
            self._change_membership(group, socket.IP_ADD_MEMBERSHIP if self._ipv4 else socket.IPV6_JOIN_GROUP)
        self._joined[group] += 1

    def leave(self, group: IPAddress) -> None:
        """Take back one join (KeyError without one); with the last one the group is left."""
        others = self._joined.pop(group) - 1
        if others:
            self._joined[group] = others
        else:
            with suppress(OSError):  # a deleted interface has left every group
                self._change_membership(group, socket.IP_DROP_MEMBERSHIP if self._ipv4 else socket.IPV6_LEAVE_GROUP)

    def receive(self, *receivers: socket.socket) -> Iterator[Datagram | Discard]:
        """What has arrived at these receivers (default: all); a malformed packet comes as a Discard.

        At most 64 each, so that a flood can't keep the loop from its timers: the loop finds the socket
        readable again. Raises nothing; an error of the socket is logged once.
        """
        receive = _receive_ipv4 if self._ipv4 else self._receive_ipv6
        for receiver in receivers or self.receivers:
            for _ in range(_BATCH):
                try:
                    received = receive(receiver)
                except BlockingIOError:
                    break
                except OSError as error:
                    self._tell(receiver, error)
                    break
                if received is not None:
                    yield received

    def send(self, packet: bytes, source: IPAddress, destination: IPAddress, ttl: int = 255) -> None:
        """Send a whole IPv4 packet, or what follows an IPv6 header with this source and hop limit.

        Raises OSError: EPERM (a firewall), ENETUNREACH (IPv4, link down), EINVAL (the IPv6 source is not on the
        interface: link down, or still tentative), ENODEV (interface deleted), EAGAIN or ENOBUFS (a queue is full).
        """
        target = self._targets.get(destination)
        if target is None:
            target = self._targets[destination] = self._target(destination)
        flags, address = target
        if self._ipv4:
            self._sender.sendto(packet, flags, address)
        else:
            packet_info = _IN6_PKTINFO.pack(source.packed, self._index)
            ancillary = (
                (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packet_info),
                (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, _INT.pack(ttl)),
            )
            self._sender.sendmsg((packet,), ancillary, flags, address)

    def close(self) -> None:
        """Close everything; remove the readers from the loop first. Again is harmless."""
        for each in (*self.receivers, self._sender):
            each.close()

    def _receive_ipv6(self, receiver: socket.socket) -> Datagram | Discard | None:
        payload, ancillary, flags, sender = receiver.recvmsg(_BUFFER, _ANCILLARY_BUFFER)
        if flags & socket.MSG_TRUNC:
            return Discard(DiscardReason.LENGTH, f"more than {_BUFFER} bytes")
        hop_limit, packed = 0, bytes(16)
        for _, kind, data in ancillary:
            if kind == socket.IPV6_HOPLIMIT:
                (hop_limit,) = _INT.unpack(data)
            elif kind == socket.IPV6_PKTINFO:
                packed, _ = _IN6_PKTINFO.unpack(data)
        destination = _ipv6_address(packed)
        # IPV6_MULTICAST_ALL has no effect on raw sockets: groups that others on this host joined arrive too.
        if packed[0] == 0xFF and destination not in self._joined:
            return None
        return Datagram(_ipv6_address(sender[0]), destination, hop_limit, receiver.proto, b"", payload)

    def _open(self, protocol: int) -> socket.socket:
        return socket.socket(
            socket.AF_INET if self._ipv4 else socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol
        )

    def _prepare_receiver(self, receiver: socket.socket, receive_buffer: int | None) -> None:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
        if receive_buffer is not None:
            _set_receive_buffer(receiver, receive_buffer)
        if self._ipv4:
            # Only what this socket joined, not what any program on this host did.
            receiver.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        else:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        # From its creation until here it heard every interface.
        with suppress(BlockingIOError):
            while True:
                receiver.recv(1)

    def _prepare_sender(self) -> None:
        sender = self._sender
        _receive_nothing(sender)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, TC_PRIO_CONTROL)
        if self._ipv4:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._ip_mreqn(b""))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _TRAFFIC_CLASS)
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._index)
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)

    def _change_membership(self, group: IPAddress, option: int) -> None:
        for receiver in self.receivers:
            if self._ipv4:
                receiver.setsockopt(socket.IPPROTO_IP, option, self._ip_mreqn(group.packed))
            else:
                ipv6_mreq = struct.pack("@16si", group.packed, self._index)
                receiver.setsockopt(socket.IPPROTO_IPV6, option, ipv6_mreq)

    def _ip_mreqn(self, group: bytes) -> bytes:
        return struct.pack("@4s4si", group, b"", self._index)

    def _target(self, destination: IPAddress) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
        """The flags and the socket address of a sendto."""
        if self._ipv4:
            return socket.MSG_DONTROUTE if destination.is_multicast else 0, (str(destination), 0)
        return 0, (str(destination), 0, 0, self._index)

    def _tell(self, receiver: socket.socket, error: OSError) -> None:
        closed_meanwhile = receiver.fileno() == -1
        if not closed_meanwhile and error.errno != self._told:
            self._told = error.errno
            _LOG.warning("%s: can't receive VRRP: %s", self._interface, error.strerror)


def _receive_ipv4(receiver: socket.socket) -> Datagram | Discard:
    try:
        return parse_ipv4(receiver.recv(_BUFFER))
    except Discard as refused:
        return refused


def _set_receive_buffer(receiver: socket.socket, size: int) -> None:
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:  # without CAP_NET_ADMIN as much as net.core.rmem_max allows
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _receive_nothing(sender: socket.socket) -> None:
    """Attach a classic BPF program `return 0`: no copy of any packet is queued on a socket that only sends."""
    program = ctypes.create_string_buffer(struct.pack("@HBBI", 0x06, 0, 0, 0))
    sender.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))
