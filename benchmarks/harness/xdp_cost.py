"""What the XDP program costs, by BPF_PROG_TEST_RUN: nanoseconds per packet of each kind, beside a bare XDP_TX.

Both are reached by the same way: a program in front gives each packet another source port, or another source address,
and calls the one that is measured as its tail. So the flows are 65536, and what is beyond the bare one is dnslb's own.
`python benchmarks/harness/xdp_cost.py` prints it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median

from dnslb.bpf.assembler import assemble
from dnslb.bpf.maps import Map, MapType
from dnslb.bpf.program import Program, Verdict, load
from dnslb.forwarding import Destination, Forwarding, Service, Spread
from tests.dnslb_packets import OWN_MAC, SYN, TCP, UDP, ethernet, ip, labels, query, tcp, udp
from tests.dnslb_services import PEER_MAC, SERVERS, services, spread_over
from tests.dnslb_xdp import Unattached

ROUNDS, REPEAT = 7, 400_000
V4, V6 = ("198.51.100.7", "192.0.2.53"), ("2001:db8:9::7", "2001:db8::53")
FLOWS = 65536
STEP = 40503
"odd, so that it goes over all 65536 values of 16 bits"
TABLE = spread_over(*SERVERS)


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians in nanoseconds."""

    kind: str
    program: float
    bare: float


def costs() -> Iterator[Cost]:
    """One after the other, each a few seconds; on one CPU."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})
    try:
        for kind, some, frame, varied in _kinds():
            yield _cost(kind, some, frame, varied)
    finally:
        os.sched_setaffinity(0, cpus)


def _kinds() -> Iterator[tuple[str, Sequence[Service], bytes, int]]:
    """Name, services, frame, and where in it are the 16 bits that differ from packet to packet."""
    both = services("192.0.2.53 2001:db8::53", table=TABLE)
    name = query(labels("www.example.net"))

    def datagram(way: tuple[str, str], tags: tuple[int, ...] = ()) -> bytes:
        return ethernet(ip(*way, UDP, udp(way[0], 4242, way[1], 53, name)), tags=tags)

    yield "UDP, IPv4", both, datagram(V4), 34
    yield "UDP, IPv6", both, datagram(V6), 54
    yield "UDP, IPv4, VLAN tag", both, datagram(V4, tags=(0x8100,)), 38
    yield "TCP, IPv4", both, ethernet(ip(*V4, TCP, tcp(V4[0], 4242, V4[1], 53))), 34
    yield "fragment, IPv4", both, ethernet(ip(*V4, UDP, name, fragment=0x2000)), 28
    yield "UDP by name", services("192.0.2.53", table=TABLE, spread=Spread.QNAME), datagram(V4), 56
    yield "UDP, next bucket", services("192.0.2.53", table=TABLE, spread=Spread.PACKET), datagram(V4), 34
    kept = services("192.0.2.53", table=TABLE, keep_flows=True)
    yield "TCP, kept flows", kept, ethernet(ip(*V4, TCP, tcp(V4[0], 4242, V4[1], 53))), 34
    yield "TCP, first of a kept flow", kept, ethernet(ip(*V4, TCP, tcp(V4[0], 4242, V4[1], 53, flags=SYN))), 34
    many = services(" ".join(f"192.0.2.{last}" for last in range(22, 86)), table=TABLE)
    yield "UDP, 64 services", many, datagram(V4), 34


def _cost(kind: str, some: Sequence[Service], frame: bytes, varied: int) -> Cost:
    """The servers have our own MAC address, so that the frame is to be balanced again the next time."""
    to_us: dict[int, Destination] = {slot: replace(server, mac=OWN_MAC) for slot, server in SERVERS.items()}
    peers = frozenset({PEER_MAC, *(server.mac for server in SERVERS.values())})
    forwarding = Forwarding(mac=OWN_MAC, services=some, destinations=to_us, peers=peers)
    with ExitStack() as stack:
        plane = stack.enter_context(Unattached(forwarding, frozenset(service.address for service in some)))
        assert plane.bench.program is not None
        bare = stack.enter_context(load(assemble(f"w0 = {Verdict.TX:d}\nexit"), {}, "bare"))
        ours, theirs = (_varied(stack, program, varied) for program in (plane.bench.program, bare))
        before = _remember(ours, frame) if any(service.keep_flows for service in some) else 0
        rounds = [(ours.run(frame, REPEAT).nanoseconds, theirs.run(frame, REPEAT).nanoseconds) for _ in range(ROUNDS)]
        sent = sum(plane.engine.counters().packets.values())
        if sent - before != ROUNDS * REPEAT:
            raise RuntimeError(f"{kind}: {sent - before} of {ROUNDS * REPEAT} packets were sent on")
    return Cost(kind, median(our for our, _ in rounds), median(their for _, their in rounds))


def _remember(program: Program, frame: bytes) -> int:
    """Begin the flow of every port: without that, none is found. How many packets it took."""
    program.run(frame[:47] + bytes([SYN]) + frame[48:], FLOWS)
    return FLOWS


def _varied(stack: ExitStack, program: Program, offset: int) -> Program:
    """A program that changes 16 bits of the packet and goes on with another."""
    text = f"""
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += {offset + 2}
        if r4 > r3 goto short
        r4 = *(u16 *)(r2 + {offset})
        w4 += {STEP}
        *(u16 *)(r2 + {offset}) = r4
    short:
        r2 = map[programs]
        w3 = 0
        call bpf_tail_call
        w0 = {Verdict.ABORTED:d}
        exit
    """
    programs = stack.enter_context(Map.create(MapType.PROG_ARRAY, "programs", value_size=4))
    programs.update(bytes(4), struct.pack("=i", program.descriptor))
    return stack.enter_context(load(assemble(text), {"programs": programs}, "varied"))


if __name__ == "__main__":
    for cost in costs():
        print(f"{cost.kind:20} {cost.program:4.0f} ns, of which a bare XDP_TX is {cost.bare:3.0f}")
