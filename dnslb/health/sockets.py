"""Sockets of checks: non-blocking, bound as the file says, addressed in numbers alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct

from dnslb.health.query import Binding
from pyvrrp.core.events import IPAddress

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


def open_socket(peer: IPAddress, kind: socket.SocketKind, binding: Binding) -> socket.socket:
    """A socket for talking to `peer`; OSError when it can't be bound or marked (SO_MARK needs CAP_NET_ADMIN)."""
    sock = socket.socket(socket.AF_INET if peer.version == 4 else socket.AF_INET6, kind)
    try:
        sock.setblocking(False)
        if binding.fwmark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, binding.fwmark)
        if binding.interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, binding.interface.encode())
        if binding.source or binding.port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if binding.port and kind is socket.SOCK_STREAM:
                # Closed with a reset: else the port could not reach this server again for a minute (TIME_WAIT).
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.bind(_bound(peer, binding))
    except OSError:
        sock.close()
        raise
    return sock


def socket_address(address: IPAddress, port: int) -> SocketAddress:
    """The socket address in numbers: nothing is left for a resolver to look up."""
    if address.version == 4:
        return (str(address), port)
    scope = socket.if_nametoindex(address.scope_id) if address.scope_id else 0
    return (str(address).partition("%")[0], port, 0, scope)


async def connected(sock: socket.socket, address: SocketAddress) -> None:
    """Connect it; raises OSError. Not loop.sock_connect: uvloop's loses the scope of a link-local address."""
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)
        return
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(sock, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(sock)
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


def _bound(peer: IPAddress, binding: Binding) -> SocketAddress:
    if binding.source is None:
        return ("0.0.0.0" if peer.version == 4 else "::", binding.port)
    if binding.source.version == 4 or not binding.source.is_link_local or not binding.interface:
        return socket_address(binding.source, binding.port)
    return (str(binding.source), binding.port, 0, socket.if_nametoindex(binding.interface))
