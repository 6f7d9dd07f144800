"""VIP_CHECK: a question that takes the way of the clients' packets, by the server's MAC address to the VIP.

The answer comes from the VIP, which on the MASTER is an address of this node: its stack drops such a packet as a
martian, a packet socket hears it all the same. On a BACKUP the stack would take the answer for one that nobody has
asked for, and complain to the VIP, which is the MASTER: so the source port is held by a socket with a filter that
takes nothing, and the stack drops the answer without a word.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dnslb.forwarding import Protocol
from dnslb.health import socket_filter
from dnslb.health.answer import judge
from dnslb.health.check import VipProbe
from dnslb.health.frames import ACK, RST, SYN, Reply, Way, read_reply
from dnslb.health.own_address import own_address
from dnslb.health.probe import probe as ask
from dnslb.health.query import Binding, DnsCheck, Malformed, make_query, mismatch, parse
from dnslb.health.sockets import socket_address
from dnslb.health.tap import ETH_P_IP, ETH_P_IPV6, Tap
from dnslb.health.verdict import REFUSED, TIMEOUT, Transport, Verdict, combine
from dnslb.model import Endpoint
from pyvrrp.core.events import IPAddress

_LOOK = 0.05
"seconds between two looks whether a MAC address is known"


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a real server is on the link."""

    interface: str
    mac: bytes
    "6 bytes; of no meaning for a local one"
    local: bool = False
    "it is this node itself"


Neighbours = Callable[[IPAddress], Hop | None]
"a real server's place on the link; None: its MAC address is not known"


class VipPath:
    """The packet sockets that hear the answers: one for each interface, address of ours and port of a VIP."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours
        self._taps: dict[tuple[str, IPAddress, int], Tap] = {}
        self._waiting: dict[tuple[Protocol, IPAddress, int], asyncio.Queue[Reply]] = {}
        "by the address and port of ours"

    async def probe(self, probe: VipProbe, vips: Collection[Endpoint]) -> Verdict:
        """Ask through every VIP, over each transport, all at the same time; raises nothing but CancelledError."""
        question = probe.question
        hop = await self._hop(question.server, question.timeout)
        if hop is None:
            detail = f"the MAC address of {question.server} is not known: it does not answer ARP or Neighbor Discovery"
            return Verdict(False, detail, 0.0, cause="no neighbour")
        addresses = frozenset(vip.address for vip in vips)
        if hop.local:
            return combine(await asyncio.gather(*(_ask_local(question, vip) for vip in vips)))
        asked = [self._ask(probe, hop, vip, addresses, each) for vip in vips for each in question.transports]
        return combine(await asyncio.gather(*asked))

    def close(self) -> None:
        """Hear no more; idempotent."""
        while self._taps:
            self._taps.popitem()[1].close()

    async def _hop(self, server: IPAddress, patience: float) -> Hop | None:
        """Where the server is; its MAC address may be asked for at this very moment, as at the start."""
        for _ in range(math.ceil(patience / _LOOK)):
            if hop := self._neighbours(server):
                return hop
            await asyncio.sleep(_LOOK)
        return self._neighbours(server)

    async def _ask(
        self, probe: VipProbe, hop: Hop, vip: Endpoint, vips: Collection[IPAddress], transport: Transport
    ) -> Verdict:
        started = time.monotonic()
        question = replace(probe.question, server=vip.address, port=vip.port)
        over = f"{vip} through {probe.question.server} over {transport.value}"
        source = probe.source if probe.source is not None and probe.source.version == vip.address.version else None
        source = source or own_address(vip.address.version, hop.interface, probe.question.server, vips)
        if source is None:
            detail = f"can't ask {over}: {hop.interface} has no address of its own to ask from; add one"
            return Verdict(False, detail, 0.0, cause="no source")
        talk = self._udp if transport is Transport.UDP else self._tcp
        try:
            async with asyncio.timeout(question.timeout):
                with self._conversation(hop, source, vip, transport) as conversation:
                    return await talk(question, conversation, over, started)
        except TimeoutError:
            detail = (
                f"no answer from {over} within {question.timeout:g} s:"
                " is that address on its loopback, and does the server listen on it?"
            )
            cause = TIMEOUT
        except OSError as error:
            cause, detail = "unreachable", f"can't ask {over}: {error.strerror or error}"
        return Verdict(False, detail, time.monotonic() - started, cause=cause)

    async def _udp(self, question: DnsCheck, conversation: _Conversation, over: str, started: float) -> Verdict:
        query = make_query(question)
        conversation.send(conversation.way.udp(query.to_wire()))
        while True:
            reply = await conversation.replies.get()
            elapsed = time.monotonic() - started
            if reply.closed and reply.source == question.server:
                return _refused(over, elapsed)
            try:
                response = parse(reply.payload)
            except Malformed:
                continue
            # Strays don't end the wait: else whoever can forge one datagram could take the server out of service.
            if mismatch(query, response):
                continue
            if reply.source != question.server:
                detail = (
                    f"the answer from {over} comes from {reply.source}: the server listens on all addresses with one"
                    f" UDP socket; let it listen on {question.server} itself (unbound: interface-automatic: yes)"
                )
                return Verdict(False, detail, elapsed, cause="wrong source")
            verdict = judge(question, Transport.UDP, query, response, elapsed)
            return replace(verdict, detail=f"{verdict.detail} (asked {over})")

    async def _tcp(self, question: DnsCheck, conversation: _Conversation, over: str, started: float) -> Verdict:
        sequence = random.getrandbits(32)
        conversation.send(conversation.way.tcp(SYN, sequence))
        while True:
            reply = await conversation.replies.get()
            elapsed = time.monotonic() - started
            if reply.source != question.server:
                continue
            mine = reply.acknowledged == (sequence + 1) % 2**32
            if reply.closed or (mine and reply.flags & RST):
                return _refused(over, elapsed)
            if mine and reply.flags & (SYN | ACK) == SYN | ACK:
                # Not left half open there; by the same way, for by any other it would come to the MASTER.
                conversation.send(conversation.way.tcp(RST, sequence + 1))
                return Verdict(True, f"{over} accepts a connection", elapsed)

    @contextmanager
    def _conversation(
        self, hop: Hop, source: IPAddress, vip: Endpoint, transport: Transport
    ) -> Iterator[_Conversation]:
        tap = self._tap(hop.interface, source, vip.port)
        protocol = Protocol.UDP if transport is Transport.UDP else Protocol.TCP
        with _silent_port(source, protocol, hop.interface) as port:
            replies: asyncio.Queue[Reply] = asyncio.Queue()
            self._waiting[protocol, source, port] = replies
            try:
                way = Way(
                    own_mac=tap.mac,
                    server_mac=hop.mac,
                    source=source,
                    source_port=port,
                    vip=vip.address,
                    port=vip.port,
                )
                yield _Conversation(tap, way, replies)
            finally:
                del self._waiting[protocol, source, port]

    def _tap(self, interface: str, source: IPAddress, port: int) -> Tap:
        key = (interface, source, port)
        tap = self._taps.get(key)
        if tap is None or tap.stale:
            if tap is not None:
                tap.close()
            ethertype = ETH_P_IP if source.version == 4 else ETH_P_IPV6
            tap = self._taps[key] = Tap(interface, ethertype, socket_filter.answers(source, port), self._heard)
        return tap

    def _heard(self, frame: bytes) -> None:
        reply = read_reply(frame)
        if reply is not None and (waiting := self._waiting.get((reply.protocol, reply.own, reply.own_port))):
            waiting.put_nowait(reply)


@dataclass(frozen=True, slots=True)
class _Conversation:
    tap: Tap
    way: Way
    replies: asyncio.Queue[Reply]

    def send(self, frame: bytes) -> None:
        self.tap.send(frame)


async def _ask_local(question: DnsCheck, vip: Endpoint) -> Verdict:
    """The server on this node, asked on the VIP: which must be here, else the question would go to the MASTER."""
    try:
        with socket.socket(_family(vip.address), socket.SOCK_DGRAM) as sock:
            sock.bind(socket_address(vip.address, 0))
    except OSError:
        detail = f"{vip.address} is not on this node: put it on the loopback interface"
        return Verdict(False, detail, 0.0, cause="no VIP")
    return await ask(replace(question, server=vip.address, port=vip.port, binding=Binding(source=vip.address)))


def _refused(over: str, elapsed: float) -> Verdict:
    detail = f"refused by {over}: the address is there, but nothing listens on it"
    return Verdict(False, detail, elapsed, cause=REFUSED)


@contextmanager
def _silent_port(source: IPAddress, protocol: Protocol, interface: str) -> Iterator[int]:
    """A port of ours for which the local stack takes everything without a word: no reset, no ICMP error."""
    kind = socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM
    with socket.socket(_family(source), kind) as sock:
        socket_filter.attach(sock, socket_filter.NOTHING)
        scope = (0, socket.if_nametoindex(interface)) if source.version == 6 and source.is_link_local else ()
        sock.bind((str(source), 0, *scope))
        if protocol is Protocol.TCP:
            sock.listen(1)
        yield int(sock.getsockname()[1])


def _family(address: IPAddress) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
