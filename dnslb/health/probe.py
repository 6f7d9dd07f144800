"""Put one question to a DNS server over UDP, TCP or both."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import dns.message

from dnslb.health.answer import judge
from dnslb.health.query import EDNS_PAYLOAD, DnsCheck, Malformed, make_query, mismatch, parse
from dnslb.health.sockets import open_socket, socket_address
from dnslb.health.verdict import REFUSED, TIMEOUT, Transport, Verdict, combine

_LATE = 0.1
"seconds that a timeout may come late before the lateness counts as ours"


async def probe(check: DnsCheck) -> Verdict:
    """Ask once over each transport, all at the same time, and judge the answers; raises nothing but CancelledError.

    Takes at most `check.timeout` seconds. When this process itself was held up (a paused machine, a starved CPU) a
    timeout says nothing about the server: it is asked once more.
    """
    verdict = await _ask_all(check)
    if not verdict.ok and verdict.elapsed > check.timeout + _LATE:
        verdict = await _ask_all(check)
    return verdict


async def probe_all(checks: Sequence[DnsCheck]) -> Verdict:
    """Put several questions, at the same time where each has a port of its own; healthy when all are answered well."""
    if any(check.binding.port for check in checks):
        return combine([await probe(check) for check in checks])
    return combine(await asyncio.gather(*(probe(check) for check in checks)))


async def _ask_all(check: DnsCheck) -> Verdict:
    started = time.monotonic()
    verdicts = await asyncio.gather(*(_ask(check, transport, started) for transport in check.transports))
    # A client that gets a truncated answer over UDP asks again over TCP (RFC 2181 section 9).
    if any(verdict.truncated for verdict in verdicts) and Transport.TCP not in check.transports:
        verdicts.append(await _ask(check, Transport.TCP, started))
    return combine(verdicts)


async def _ask(check: DnsCheck, transport: Transport, started: float) -> Verdict:
    """One question over one transport; what went wrong becomes the verdict."""
    exchange = _Exchange(check, make_query(check))
    over = f"{check.endpoint} over {transport.value}"
    try:
        async with asyncio.timeout(started + check.timeout - time.monotonic()):
            match transport:
                case Transport.UDP:
                    response = await exchange.udp()
                case Transport.TCP:
                    response = await exchange.tcp()
                case _:
                    assert_never(transport)
    except TimeoutError:
        cause, detail = TIMEOUT, f"no answer from {over} within {check.timeout:g} s{exchange.heard}"
        if transport is Transport.UDP and check.edns and check.payload > EDNS_PAYLOAD:
            detail += f"; it may have more than {EDNS_PAYLOAD} octets: is something on the way that drops those?"
    except ConnectionRefusedError:
        cause, detail = REFUSED, f"connection refused by {over}: nothing listens there"
    except EOFError:
        cause, detail = "closed", f"connection closed by {over} before the answer was complete{exchange.heard}"
    except OSError as error:
        cause, detail = "unreachable", f"can't ask {over}: {error.strerror or error}{exchange.heard}"
    except Malformed as error:
        cause, detail = "malformed", f"malformed answer from {over}: {error}"
    else:
        return judge(check, transport, exchange.query, response, time.monotonic() - started, time.time())
    return Verdict(False, detail, time.monotonic() - started, cause=cause)


@dataclass(slots=True)
class _Exchange:
    """One query and its answer on a socket of its own, with a source port of the kernel's random choice."""

    check: DnsCheck
    query: dns.message.Message
    heard: str = ""
    "what came that was no whole answer, for the sentence about its failure"

    async def udp(self) -> dns.message.Message:
        """Ask over UDP and wait for the answer; anything else that comes is passed over.

        Strays don't end the wait: else whoever can forge one datagram could take the server out of service.
        """
        loop = asyncio.get_running_loop()
        strays = 0
        with open_socket(self.check.server, socket.SOCK_DGRAM, self.check.binding) as sock:
            # Connected: the kernel drops what other addresses send and reports "port unreachable" at once.
            sock.connect(socket_address(self.check.server, self.check.port))
            sock.send(self.query.to_wire())
            while True:
                datagram = await loop.sock_recv(sock, 65535)
                try:
                    response = parse(datagram)
                    stray = mismatch(self.query, response)
                except Malformed as error:
                    stray = str(error)
                else:
                    if not stray:
                        return response
                strays += 1
                self.heard = f" (stray datagrams: {strays}, the last one: {stray})"
                # sock_recv returns without a pause while there is more: a flood must not hold the loop.
                await asyncio.sleep(0)

    async def tcp(self) -> dns.message.Message:
        """Ask over TCP (RFC 1035 section 4.2.2: two bytes of length before each message)."""
        loop = asyncio.get_running_loop()
        with open_socket(self.check.server, socket.SOCK_STREAM, self.check.binding) as sock:
            # Not loop.sock_connect: uvloop's loses the scope of a link-local address. Sending waits for the connection.
            with contextlib.suppress(BlockingIOError):
                sock.connect(socket_address(self.check.server, self.check.port))
            wire = self.query.to_wire()
            await loop.sock_sendall(sock, struct.pack("!H", len(wire)) + wire)
            (length,) = struct.unpack("!H", await self._receive(sock, 2, "of the length"))
            return parse(await self._receive(sock, length, "of the answer"))

    async def _receive(self, sock: socket.socket, size: int, what: str) -> bytes:
        loop = asyncio.get_running_loop()
        received = b""
        while len(received) < size:
            piece = await loop.sock_recv(sock, size - len(received))
            if not piece:
                raise EOFError
            received += piece
            self.heard = f" ({len(received)} of {size} bytes {what})"
        return received
