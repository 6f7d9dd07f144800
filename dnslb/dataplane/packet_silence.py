"""Keeping the local stack silent about packets that the packet engine sends on.

A packet socket sees a copy: the stack of this node, which holds the address, gets each packet too, and where nothing
listens it answers with a TCP RST or an ICMP port unreachable, which would break the client's exchange with the server.
So a socket is bound to each service here, TCP ones listening, with a filter that takes nothing: the stack finds an
owner for the packet, the filter drops it, nobody answers. That takes no privilege but the port's, and is gone with the
process. It can't be done where a server of this node listens on the address, or on all of them: it would answer every
client, whoever else does.
"""

from __future__ import annotations

import errno
import socket

from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.packet_filter import NOTHING, attach
from dnslb.forwarding import Protocol
from pyvrrp.core.events import IPAddress

IP_FREEBIND, IPV6_FREEBIND = 15, 78
"to bind an address that is not there yet"

Endpoint = tuple[IPAddress, int, Protocol]


class Silence:
    """The sockets that swallow what is for services."""

    def __init__(self) -> None:
        self._sockets: dict[Endpoint, socket.socket] = {}

    def cover(self, endpoints: set[Endpoint]) -> None:
        """Swallow what is for these and nothing else; raises DataPlaneError and then covers what it did before."""
        opened = {}
        try:
            for endpoint in endpoints - self._sockets.keys():
                opened[endpoint] = _swallow(*endpoint)
        except DataPlaneError:
            for each in opened.values():
                each.close()
            raise
        for endpoint in self._sockets.keys() - endpoints:
            self._sockets.pop(endpoint).close()
        self._sockets.update(opened)

    def close(self) -> None:
        """Let the stack answer for itself again."""
        self.cover(set())


def _swallow(address: IPAddress, port: int, protocol: Protocol) -> socket.socket:
    kind = socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM
    swallower = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind)
    try:
        if address.version == 4:
            swallower.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        else:
            swallower.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            swallower.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        attach(swallower, NOTHING)
        if kind == socket.SOCK_STREAM:
            swallower.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections may be in TIME_WAIT
        swallower.bind((str(address), port))
        if kind == socket.SOCK_STREAM:
            swallower.listen(1)
    except OSError as error:
        swallower.close()
        reason = error.strerror
        if error.errno == errno.EADDRINUSE:
            reason = "a server on this node listens there and would answer every client; use engine xdp or nft"
        raise DataPlaneError(f"packet: {protocol.name} port {port} of {address}: {reason}") from None
    return swallower
