"""Who answers for a VIP, and who of them must not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from dnslb.health.arp_leak import Leak, Link, leaks, read_answer, who_has

VIP4, VIP6 = ip_address("192.0.2.53"), ip_address("2001:db8::53")
OWN4, OWN6 = ip_address("192.0.2.2"), ip_address("2001:db8::2")
OURS, PEER, NS1, NS2, STRANGER = (bytes((2, 0, 0, 0, 0, number)) for number in range(1, 6))
VIRTUAL = bytes.fromhex("00005e000135")
LINK = Link(own=frozenset((OURS,)), balancers=frozenset((PEER,)), servers={NS1: "ns1", NS2: "ns2"})


def test_the_question_over_ipv4() -> None:
    packet = Ether(who_has(OURS, OWN4, VIP4))
    assert (packet.src, packet.dst) == ("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff")
    arp = packet[ARP]
    assert (arp.op, arp.hwsrc, arp.psrc, arp.pdst) == (1, "02:00:00:00:00:01", "192.0.2.2", "192.0.2.53")


def test_the_question_over_ipv6() -> None:
    frame = who_has(OURS, OWN6, VIP6)
    packet = Ether(frame)
    assert (packet.dst, packet[IPv6].dst, packet[IPv6].hlim) == ("33:33:ff:00:00:53", "ff02::1:ff00:53", 255)
    assert packet[ICMPv6ND_NS].tgt == "2001:db8::53"
    del packet[ICMPv6ND_NS].cksum
    assert bytes(packet) == frame, "scapy agrees with the checksum"


def test_answers() -> None:
    arp = Ether(src=NS1.hex(":")) / ARP(op=2, hwsrc=NS1.hex(":"), psrc="192.0.2.53", pdst="192.0.2.2")
    assert read_answer(bytes(arp)) == (VIP4, NS1)
    assert read_answer(bytes(Ether() / ARP(op=1, psrc="192.0.2.53", pdst="192.0.2.53"))) is None, "a question"
    na = Ether(src=STRANGER.hex(":")) / IPv6(src="2001:db8::53", dst="2001:db8::2") / ICMPv6ND_NA(tgt="2001:db8::53")
    assert read_answer(bytes(na / ICMPv6NDOptDstLLAddr(lladdr=NS1.hex(":")))) == (VIP6, NS1)
    assert read_answer(bytes(na)) == (VIP6, STRANGER), "without the option the sender is meant"
    assert read_answer(who_has(OURS, OWN6, VIP6)) is None


@given(st.binary(max_size=100))
def test_rubbish_is_no_answer_and_no_error(rubbish: bytes) -> None:
    read_answer(rubbish)
    read_answer(rubbish[:12] + b"\x08\x06" + rubbish[12:])
    read_answer(rubbish[:12] + b"\x86\xdd" + rubbish[12:])


@pytest.mark.parametrize(
    ("held", "answers", "wrong"),
    [
        (True, [], []),
        (True, [OURS], []),
        (True, [NS1], [NS1]),
        (True, [NS2, NS1], [NS1, NS2]),
        (True, [STRANGER], [STRANGER]),
        (True, [PEER], [PEER]),
        (False, [PEER], []),
        (False, [VIRTUAL], []),
        (False, [STRANGER], []),
        (False, [NS1], [NS1]),
        (False, [PEER, NS1], [NS1]),
        (False, [VIRTUAL, STRANGER], [STRANGER]),
    ],
)
def test_who_must_not_answer(held: bool, answers: list[bytes], wrong: list[bytes]) -> None:
    assert [leak.mac for leak in leaks(VIP4, answers, LINK, held=held)] == wrong


def test_two_boxes_each_balancer_and_server() -> None:
    link = Link(own=frozenset((OURS,)), balancers=frozenset((PEER,)), servers={PEER: "ns2"})
    assert leaks(VIP4, [PEER], link, held=False) == (), "the MASTER answers"
    assert [leak.server for leak in leaks(VIP4, [PEER], link, held=True)] == ["ns2"]


def test_sentences() -> None:
    assert Leak(vip=VIP4, mac=NS1, server="ns1").sentence == (
        "real server ns1 (02:00:00:00:00:03) answers ARP for 192.0.2.53 and takes clients' packets away:"
        " set net.ipv4.conf.all.arp_ignore=1 there, and have the address on its loopback alone"
    )
    assert Leak(vip=VIP6, mac=STRANGER).sentence == (
        "02:00:00:00:00:05, no node that is known, answers Neighbor Discovery for 2001:db8::53 and takes clients'"
        " packets away: find it, or another node has the same address"
    )
