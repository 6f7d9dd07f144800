"""SERVFAIL from this node while nobody is left behind a virtual address, so that a resolver goes on at once.

The sockets are there only while they are needed: a DNS server that is started on this node must find its port free. One
that has the port already answers for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from typing import cast

from dnslb.forwarding import Protocol
from dnslb.model import Endpoint
from pyvrrp.core.events import IPAddress

Asked = tuple[Endpoint, Protocol]

_LOG = logging.getLogger("dnslb")
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
"to bind an address that is not there yet"
_HEADER = struct.Struct("!HHHHHH")
_QR, _OPCODE, _RD, _RA, _SERVFAIL = 0x8000, 0x7800, 0x0100, 0x0080, 2
_OPT = 41
_EDE, _NETWORK_ERROR = 15, 23
"RFC 8914: the option, and the reason"
_TEXT = b"no server behind this address is up"
_PAYLOAD = 1232
_CONNECTIONS = 256
"over TCP at one time; more are closed"
_IDLE = 3.0
"seconds until a TCP client has sent its query"


def servfail(query: bytes) -> bytes:
    """The answer to a query; empty for what is none."""
    if len(query) < _HEADER.size:
        return b""
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(query)
    end = _end_of_question(query)
    if flags & _QR or questions != 1 or end is None:
        return b""
    edns = b""
    if additional and not answers and not authorities and query[end : end + 3] == struct.pack("!BH", 0, _OPT):
        option = struct.pack("!HHH", _EDE, 2 + len(_TEXT), _NETWORK_ERROR) + _TEXT
        edns = struct.pack("!BHHIH", 0, _OPT, _PAYLOAD, 0, len(option)) + option
    answered = _QR | flags & (_OPCODE | _RD) | _RA | _SERVFAIL
    return _HEADER.pack(number, answered, 1, 0, 0, bool(edns)) + query[_HEADER.size : end] + edns


def _end_of_question(query: bytes) -> int | None:
    at = _HEADER.size
    while at < len(query) and 0 < query[at] <= 63:
        at += 1 + query[at]
    end = at + 5
    return end if end <= len(query) and query[at] == 0 and at - _HEADER.size <= 254 else None


class Answerer:
    """The sockets; `cover` says for which endpoints."""

    def __init__(self) -> None:
        self._open: dict[Asked, asyncio.DatagramTransport | asyncio.Server] = {}
        self._refused: set[Asked] = set()
        self._clients = 0

    @property
    def covered(self) -> frozenset[Asked]:
        """What is answered for."""
        return frozenset(self._open)

    async def cover(self, wanted: frozenset[Asked]) -> None:
        """Answer for these and nothing else; what can't be is logged once, and tried again at the next call."""
        for asked in self._open.keys() - wanted:
            self._open.pop(asked).close()
        self._refused &= wanted
        for asked in wanted - self._open.keys():
            try:
                self._open[asked] = await self._listen(*asked)
            except OSError as error:
                if asked not in self._refused:
                    self._refused.add(asked)
                    endpoint, protocol = asked
                    if error.errno == errno.EADDRINUSE:
                        _LOG.info("%s/%s: no server is left; what listens here answers", endpoint, protocol.name)
                    else:
                        _LOG.error("%s/%s: SERVFAIL can't be answered: %s", endpoint, protocol.name, error.strerror)
            else:
                self._refused.discard(asked)

    async def _listen(self, endpoint: Endpoint, protocol: Protocol) -> asyncio.DatagramTransport | asyncio.Server:
        sock = _bound(endpoint.address, endpoint.port, protocol)
        try:
            if protocol is Protocol.TCP:
                return await asyncio.start_server(self._serve, sock=sock)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(_Datagrams, sock=sock)
            return transport
        except OSError:
            sock.close()
            raise

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= _CONNECTIONS:
                async with asyncio.timeout(_IDLE):
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    if answer := servfail(query):
                        writer.write(len(answer).to_bytes(2) + answer)
                        await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client is gone, or has nothing to say
        finally:
            self._clients -= 1
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is no subclass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if answer := servfail(data):
            with contextlib.suppress(OSError):
                self._transport.sendto(answer, addr)


def _bound(address: IPAddress, port: int, protocol: Protocol) -> socket.socket:
    kind = socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind | socket.SOCK_NONBLOCK)
    try:
        if address.version == 4:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol is Protocol.TCP:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(address), port))
        if protocol is Protocol.TCP:
            sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock
