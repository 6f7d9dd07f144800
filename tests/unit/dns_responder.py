"""A DNS server on loopback that answers, or misbehaves, just as a test says; UDP and TCP on one port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import uvloop

LOOPS = ["asyncio", "uvloop"]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def on_loop(name: str) -> Run:
    """Something that runs a coroutine to its end on a loop of that kind."""

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        factory = uvloop.new_event_loop if name == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)

    return run


Answer = Callable[[dns.message.Message], Iterable[bytes]]
"a query -> the datagrams, or the pieces of the TCP stream, to send"


def good(query: dns.message.Message) -> dns.message.Message:
    """The answer 192.0.2.1 to any question for an address."""
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.1"))
    return response


def with_rcode(rcode: dns.rcode.Rcode) -> Callable[[dns.message.Message], dns.message.Message]:
    def answer(query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        return response

    return answer


def datagram(make: Callable[[dns.message.Message], dns.message.Message]) -> Answer:
    return lambda query: [make(query).to_wire()]


def stream(make: Callable[[dns.message.Message], dns.message.Message]) -> Answer:
    return lambda query: [framed(make(query).to_wire())]


def framed(wire: bytes) -> bytes:
    return len(wire).to_bytes(2, "big") + wire


def silent(query: dns.message.Message) -> list[bytes]:
    return []


good_datagram, good_stream = datagram(good), stream(good)


@dataclass
class Responder:
    udp: Answer | None = good_datagram
    "None: the port is closed"
    tcp: Answer | None = good_stream
    hang_up: bool = False
    "close the TCP connection after the last piece, else keep it open"
    host: str = "127.0.0.1"
    delay: float = 0.0
    "seconds before each answer"
    port: int = field(default=0, init=False)
    asked: list[str] = field(default_factory=list, init=False)
    "transport of each query, in the order of arrival"
    _connections: set[asyncio.StreamWriter] = field(default_factory=set, init=False)

    async def __aenter__(self) -> Responder:
        self._open = contextlib.AsyncExitStack()
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # The TCP socket is bound in any case: that keeps the port ours, and without listening it is closed.
        tcp = self._open.enter_context(socket.socket(family, socket.SOCK_STREAM))
        tcp.bind((self.host, 0))
        self.port = tcp.getsockname()[1]
        if self.tcp:
            server = await asyncio.start_server(self._serve, sock=tcp.dup())
            self._open.push_async_callback(server.wait_closed)
            self._open.callback(server.close)
        if self.udp:
            address = (self.host, self.port)
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=address)
            self._open.callback(transport.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._connections:
            writer.transport.abort()
        await self._open.aclose()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.tcp is not None
        self._connections.add(writer)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            length = int.from_bytes(await reader.readexactly(2), "big")
            query = dns.message.from_wire(await reader.readexactly(length))
            self.asked.append("tcp")
            await asyncio.sleep(self.delay)
            for piece in self.tcp(query):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if not self.hang_up:
                await reader.read()
        self._connections.discard(writer)
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        self._responder.asked.append("udp")
        asyncio.get_running_loop().call_later(self._responder.delay, self._answer, data, source)

    def _answer(self, data: bytes, source: tuple[str, int]) -> None:
        assert self._responder.udp is not None
        for answer in self._responder.udp(dns.message.from_wire(data)):
            if not self._transport.is_closing():
                self._transport.sendto(answer, source)
