"""What the kernel says of neighbours, links and routes, and what follows; the kernel is the real one, of this host."""

import asyncio
import struct
from ipaddress import ip_address

import pytest

from dnslb.balancer import rtnetlink
from dnslb.balancer.neighbours import Neighbours
from dnslb.balancer.rtnetlink import Gone, Link, Neighbour, OwnAddress
from dnslb.balancer.surroundings import Surroundings
from dnslb.balancer.whereabouts import NoInterface, interface_of, place_of
from dnslb.model import VirtualServer
from tests.unit.dns_responder import LOOPS, on_loop

A, B = ip_address("192.0.2.11"), ip_address("2001:db8::12")
MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
REACHABLE, STALE, DELAY, PROBE, FAILED, INCOMPLETE, PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x20, 0x01, 0x80


def message(kind, body, flags=0, number=0):
    return struct.pack("=IHHII", 16 + len(body), kind, flags, number, 0) + body


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def neighbour(address, state, mac=MAC, kind=rtnetlink.RTM_NEWNEIGH):
    head = struct.pack("=BxxxiHBB", 2 if address.version == 4 else 10, 7, state, 0, 1)
    return message(kind, head + attribute(1, address.packed) + (attribute(2, mac) if mac else b""))


def test_messages_of_the_kernel_are_read():
    link = message(16, struct.pack("=BxHiII", 0, 1, 7, 1, 0) + attribute(3, b"eth0\0") + attribute(1, MAC))
    own = message(20, struct.pack("=BBBBI", 2, 24, 0, 0, 7) + attribute(1, A.packed) + attribute(2, A.packed))
    assert list(rtnetlink.facts(link + own + neighbour(B, STALE) + neighbour(A, FAILED, b"", 29))) == [
        Link(7, "eth0", MAC, True),
        OwnAddress(7, A, 24),
        Neighbour(7, B, STALE, MAC),
        Gone(Neighbour(7, A, FAILED, b"")),
    ]


def test_what_is_of_no_concern_or_cut_off_is_passed_over():
    port_of_a_bridge = message(17, struct.pack("=BxHiII", 7, 1, 7, 1, 0) + attribute(3, b"eth0\0"))
    its_table = message(28, struct.pack("=BxxxiHBB", 7, 7, 2, 0, 1) + attribute(2, MAC))
    assert list(rtnetlink.facts(port_of_a_bridge + its_table + neighbour(A, STALE)[:10])) == []


def known(*states):
    neighbours = Neighbours()
    neighbours.watch([A])
    for state in states:
        neighbours.heard(Neighbour(7, A, state, b"" if state in (FAILED, INCOMPLETE) else MAC), dumped=False)
    return neighbours.of(7, A).known


@pytest.mark.parametrize(("states", "is_known"), [
    ([], None),
    ([INCOMPLETE], None),
    ([INCOMPLETE, FAILED], False),
    ([REACHABLE], True),
    ([STALE], True),
    ([PERMANENT], True),
    ([REACHABLE, STALE, DELAY, PROBE], True),
    ([REACHABLE, PROBE, FAILED], False),
    ([REACHABLE, FAILED, INCOMPLETE], False),
    ([REACHABLE, INCOMPLETE], True),
    ([FAILED, INCOMPLETE, REACHABLE], True),
])  # fmt: skip
def test_only_a_failure_of_arp_speaks_against_a_neighbour(states, is_known):
    assert known(*states) is is_known


def test_a_new_mac_address_counts_at_once_and_others_are_not_kept():
    neighbours = Neighbours()
    assert neighbours.watch([A])
    assert neighbours.heard(Neighbour(7, A, REACHABLE, MAC), dumped=False)
    assert not neighbours.heard(Neighbour(7, A, STALE, MAC), dumped=False), "nothing has changed"
    assert neighbours.heard(Neighbour(7, A, STALE, OTHER), dumped=False)
    assert neighbours.of(7, A).mac == OTHER
    assert not neighbours.heard(Neighbour(7, B, REACHABLE, MAC), dumped=False)
    assert neighbours.of(7, B).known is None
    assert neighbours.of(8, A).known is None, "on another interface"
    assert not neighbours.watch([A])
    neighbours.forget(7)
    assert neighbours.of(7, A).known is None


def test_a_failure_in_the_first_dump_is_an_old_one():
    neighbours = Neighbours()
    neighbours.watch([A])
    neighbours.heard(Neighbour(7, A, FAILED, b""), dumped=True)
    assert neighbours.of(7, A).known is None
    neighbours.heard(Neighbour(7, A, REACHABLE, MAC), dumped=True)
    neighbours.heard(Neighbour(7, A, FAILED, b""), dumped=True)
    assert neighbours.of(7, A).known is False, "events were lost meanwhile, and everything was read again"


@pytest.mark.parametrize("loop", LOOPS)
def test_this_host_is_read(loop):
    async def main():
        changed = asyncio.Event()
        surroundings = Surroundings(changed.set)
        try:
            assert not surroundings.complete
            async with asyncio.timeout(60):
                await changed.wait()
            assert surroundings.complete
            loopback = surroundings.links["lo"]
            assert surroundings.interface(loopback.index) == "lo"
            address = ip_address("127.0.0.1")
            assert surroundings.is_own(address)
            assert surroundings.on_link("lo", ip_address("127.1.2.3"))
            assert not surroundings.on_link("lo", ip_address("192.0.2.1"))
            assert not surroundings.on_link("nowhere", address)
            assert surroundings.route(address).local
            assert place_of(address, None, "lo", surroundings).local
            static = place_of(A, MAC, "lo", surroundings)
            assert (static.known, static.mac) == (True, MAC)
            assert place_of(A, None, "nowhere", surroundings).known is False
            elsewhere = place_of(A, None, "lo", surroundings)
            assert elsewhere.off_link
            assert "with DR it has to be on the link of lo" in elsewhere.why
            server = VirtualServer(name="dns", endpoints=(), protocols=frozenset())
            assert interface_of(server, "lo", surroundings) == "lo"
            with pytest.raises(NoInterface, match="there is no interface nowhere"):
                interface_of(server, "nowhere", surroundings)
            with pytest.raises(NoInterface, match="no real server is on a link of this node"):
                interface_of(server, "", surroundings)
            changed.clear()
            surroundings.watch([A])
            assert not surroundings.complete
            async with asyncio.timeout(60):
                await changed.wait()
        finally:
            surroundings.close()

    on_loop(loop)(main())
