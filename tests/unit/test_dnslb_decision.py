"""The rules of dnslb.forwarding, one by one."""

import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnslb.decision import Decider, Decision, Memory, Verdict
from dnslb.flow_hash import bucket_of_name, bucket_of_source, bucket_of_source_port
from dnslb.forwarding import MAX_FLOWS, Destination, Forwarding, OnEmpty, Passed, Spread
from tests.dnslb_packets import (
    ACK,
    CLIENT_MAC,
    FIN,
    ICMP,
    ICMPV6,
    OWN_MAC,
    SYN,
    TCP,
    UDP,
    ethernet,
    icmp_error,
    ip,
    ipv4,
    ipv6,
    labels,
    query,
    tcp,
    udp,
)
from tests.dnslb_services import services, spread_over

VIP, VIP6, CLIENT, CLIENT6 = "192.0.2.53", "2001:db8::53", "198.51.100.7", "2001:db8:1::7"
MACS = {slot: bytes([2, 0, 0, 0, 0, slot]) for slot in (1, 2, 3)}
PEER = bytes([2, 0, 0, 0, 0, 0xB2])
TABLE = spread_over(1, 2, 3)


def forwarding(*addresses: str, slots: tuple[int, ...] = (1, 2, 3), **options) -> Forwarding:
    options.setdefault("table", TABLE)
    return Forwarding(
        mac=OWN_MAC,
        services=services(" ".join(addresses or (VIP, VIP6)), **options),
        destinations={slot: Destination(name=str(slot), mac=MACS[slot]) for slot in slots},
        peers=frozenset({PEER}),
    )


def decide(frame: bytes, what: Forwarding | None = None, memory: Memory | None = None) -> Decision:
    what = what or forwarding()
    held = frozenset(service.address for service in what.services)
    return Decider(what, held).decide(frame, memory or Memory())


def udp_frame(source: str = CLIENT, to: str = VIP, port: int = 4242, payload: bytes = b"", **how) -> bytes:
    return ethernet(ip(source, to, UDP, udp(source, port, to, 53, payload)), **how)


def tcp_frame(flags: int, port: int = 4242) -> bytes:
    return ethernet(ip(CLIENT, VIP, TCP, tcp(CLIENT, port, VIP, 53, flags=flags)))


def slot_of(source: str, port: int) -> int:
    return TABLE[bucket_of_source_port(ip_address(source).packed, port, 4093)]


def slot_of_source(source: str) -> int:
    return TABLE[bucket_of_source(ip_address(source).packed, 4093)]


def elsewhere(source: str) -> int:
    """A port that is spread to another slot than the address alone."""
    return next(port for port in range(1024, 2000) if slot_of(source, port) != slot_of_source(source))


@pytest.mark.parametrize(("source", "to"), [(CLIENT, VIP), (CLIENT6, VIP6)])
@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8, 0x8100), (0x8100, 0x8100)])
def test_only_the_mac_addresses_change(source, to, tags):
    frame = udp_frame(source, to, tags=tags)
    slot = slot_of(source, 4242)
    assert decide(frame) == Decision(Verdict.TX, MACS[slot] + OWN_MAC + frame[12:], slot)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(udp_frame(tags=(0x88A8, 0x8100, 0x8100)), id="three tags"),
        pytest.param(udp_frame(to="192.0.2.54"), id="another address"),
        pytest.param(ethernet(ip(CLIENT, VIP, UDP, udp(CLIENT, 4242, VIP, 54, b""))), id="another port"),
        pytest.param(ethernet(ip(CLIENT, VIP, 132, bytes(20))), id="another protocol"),
        pytest.param(b"\x02\0\0\0\0\x99" + udp_frame()[6:], id="another MAC address"),
        pytest.param(b"\xff" * 6 + udp_frame()[6:], id="broadcast"),
        pytest.param(OWN_MAC + CLIENT_MAC + b"\x08\x06" + bytes(46), id="ARP"),
        pytest.param(OWN_MAC + CLIENT_MAC, id="no type"),
        pytest.param(udp_frame()[:33], id="no destination"),
        pytest.param(ethernet(ip(CLIENT, VIP, 1, icmp_error(CLIENT, VIP, 8, bytes(28)))), id="echo request"),
    ],
)
def test_what_is_not_for_a_service_is_no_concern_of_ours(frame):
    assert decide(frame) == Decision(Verdict.PASS, frame)


def test_only_held_addresses():
    frame = udp_frame()
    assert Decider(forwarding(), frozenset()).decide(frame, Memory()) == Decision(Verdict.PASS, frame)


def test_what_a_peer_sends_is_not_balanced_again():
    frame = udp_frame(source=CLIENT)
    frame = frame[:6] + PEER + frame[12:]
    assert decide(frame) == Decision(Verdict.PASS, frame, passed=Passed.PEER)


def test_a_local_server_gets_its_packets_from_the_stack():
    local = forwarding(table=[2])
    local = replace(local, destinations={2: Destination(name="us", mac=OWN_MAC, local=True)})
    frame = udp_frame()
    assert decide(frame, local) == Decision(Verdict.PASS, frame, 2, Passed.LOCAL)


@pytest.mark.parametrize(("on_empty", "verdict"), [(OnEmpty.PASS, Verdict.PASS), (OnEmpty.DROP, Verdict.DROP)])
@pytest.mark.parametrize("options", [{"table": ()}, {"slots": ()}])
def test_nowhere_to_go(on_empty, verdict, options):
    frame = udp_frame()
    assert decide(frame, forwarding(on_empty=on_empty, **options)) == Decision(verdict, frame, passed=Passed.EMPTY)


@pytest.mark.parametrize("field", [0x2000, 0x2003, 0x0006])
def test_every_fragment_goes_by_its_source_alone(field):
    piece = udp(CLIENT, elsewhere(CLIENT), VIP, 53, bytes(20))[:24]
    assert decide(ethernet(ipv4(CLIENT, VIP, UDP, piece, fragment=field))).slot == slot_of_source(CLIENT)


@pytest.mark.parametrize("offset_and_more", [0x0001, 0x0019, 0x0030, 0x0000])
def test_every_ipv6_fragment_goes_by_its_source_alone(offset_and_more):
    piece = udp(CLIENT6, elsewhere(CLIENT6), VIP6, 53, bytes(20))[:24]
    header = struct.pack("!BBHI", UDP, 0, offset_and_more, 1)
    packet = ipv6(CLIENT6, VIP6, UDP, piece, extensions=b"\x2c\0" + bytes(6) + header, first=0)
    assert decide(ethernet(packet)).slot == slot_of_source(CLIENT6)


def test_fragments_take_the_first_service_of_the_address_and_protocol():
    second = services(VIP, 853, "udp tcp", table=[3] * 251)
    both = replace(forwarding(table=[1] * 251), services=(*forwarding(table=[1] * 251).services, *second))
    assert decide(ethernet(ipv4(CLIENT, VIP, UDP, bytes(8), fragment=3)), both).slot == 1


def test_extension_headers_are_walked_up_to_six():
    for count, slot in ((1, slot_of(CLIENT6, 4242)), (6, slot_of(CLIENT6, 4242)), (7, None)):
        chain = b"".join(bytes([60 if at + 1 < count else UDP, 0]) + bytes(6) for at in range(count))
        packet = ipv6(CLIENT6, VIP6, UDP, udp(CLIENT6, 4242, VIP6, 53, b""), extensions=chain, first=60)
        assert decide(ethernet(packet)).slot == slot


def malformed() -> dict[str, bytes]:
    frame, frame6 = udp_frame(), udp_frame(CLIENT6, VIP6)
    hop = ipv6(CLIENT6, VIP6, UDP, b"", extensions=bytes([UDP, 9]) + bytes(6), first=0)
    return {
        "version": frame[:14] + b"\x55" + frame[15:],
        "header length": frame[:14] + b"\x44" + frame[15:],
        "total length below the header": frame[:16] + b"\0\x13" + frame[18:],
        "total length beyond the frame": frame[:-1],
        "version 6": frame6[:14] + b"\x50" + frame6[15:],
        "payload length beyond the frame": frame6[:-1],
        "no ports": ethernet(ipv4(CLIENT, VIP, UDP, b"\x10\0\0")),
        "no ports behind an extension header": ethernet(hop),
        "half an extension header": ethernet(ipv6(CLIENT6, VIP6, UDP, b"", extensions=bytes([UDP, 0, 0, 0]), first=0)),
        "half a fragment header": ethernet(ipv6(CLIENT6, VIP6, UDP, b"", extensions=bytes([UDP, 0, 0, 0]), first=44)),
        "ICMP without a type": ethernet(ipv4(CLIENT, VIP, ICMP, b"")),
        "ICMP about nothing": ethernet(ip(CLIENT, VIP, ICMP, icmp_error(CLIENT, VIP, 3, b""))),
        "ICMPv6 about no IPv6": ethernet(ip(CLIENT6, VIP6, ICMPV6, icmp_error(CLIENT6, VIP6, 2, bytes(48)))),
        "ICMP about a packet without ports": ethernet(
            ip(CLIENT, VIP, ICMP, icmp_error(CLIENT, VIP, 3, ipv4(VIP, CLIENT, UDP, b"\0\x35")))
        ),
    }


@pytest.mark.parametrize(("what", "frame"), malformed().items(), ids=malformed())
def test_malformed_packets_pass_and_are_counted(what, frame):
    assert decide(frame) == Decision(Verdict.PASS, frame, passed=Passed.MALFORMED)


def test_padding_behind_a_short_packet_is_no_fault():
    assert decide(udp_frame() + bytes(14)).slot == slot_of(CLIENT, 4242)


def test_source_spread_ignores_the_port():
    by_source = forwarding(spread=Spread.SOURCE)
    assert {decide(udp_frame(port=port), by_source).slot for port in range(1, 50)} == {slot_of_source(CLIENT)}


def test_packets_are_dealt_out_in_turn_for_udp_but_not_for_tcp():
    dealt, memory = forwarding(spread=Spread.PACKET), Memory()
    assert [decide(udp_frame(), dealt, memory).slot for _ in range(20)] == list(TABLE[:20])
    assert {decide(tcp_frame(SYN), dealt, memory).slot for _ in range(5)} == {slot_of(CLIENT, 4242)}


def test_a_name_goes_to_one_server_in_whatever_case_and_from_whatever_client():
    by_name = forwarding(spread=Spread.QNAME)
    slot = TABLE[bucket_of_name(labels("www.example.net"), 4093)]
    for name, port in (("www.example.net", 1), ("WWW.eXample.NET", 2)):
        assert decide(udp_frame(port=port, payload=query(labels(name))), by_name).slot == slot
    assert decide(udp_frame(payload=query(b"")), by_name).slot == TABLE[bucket_of_name(b"", 4093)]


LONGEST = b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\x3d" + b"d" * 61


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (query(LONGEST), LONGEST),
        (query(LONGEST[:-62] + b"\x3e" + b"d" * 62), None),
        (query(b"\x03www\xc0\x0c"), None),
        (query(b"\x40" + b"x" * 64), None),
        (query(b"\x03www"), b"\x03www"),
        (query(b"\x03www")[:-1], None),
        (query(b"\x03www", b""), None),
        (b"", None),
    ],
    ids=["254 octets", "255 octets", "pointer", "long label", "whole", "no class", "no end", "no DNS"],
)
def test_what_has_no_name_is_spread_by_port(payload, name):
    by_name = forwarding(spread=Spread.QNAME, table=range(4093), slots=())
    by_name = replace(by_name, destinations={slot: Destination(name="", mac=MACS[1]) for slot in range(4093)})
    expected = bucket_of_source_port(ip_address(CLIENT).packed, 4242, 4093)
    assert decide(udp_frame(payload=payload), by_name).slot == (
        expected if name is None else bucket_of_name(name, 4093)
    )


# --- ICMP errors -----------------------------------------------------------------------------------------------------


def icmp_frame(returned: bytes, kind: int = 3, to: str = VIP) -> bytes:
    router = CLIENT6 if ":" in to else "203.0.113.1"
    protocol = ICMPV6 if ":" in to else ICMP
    return ethernet(ip(router, to, protocol, icmp_error(router, to, kind, returned)))


@pytest.mark.parametrize("kind", [3, 11, 12])
@pytest.mark.parametrize("protocol", [UDP, TCP])
def test_an_icmp_error_goes_to_the_server_that_answered_the_client(kind, protocol):
    build = udp if protocol == UDP else tcp
    answer = ip(VIP, CLIENT, protocol, build(VIP, 53, CLIENT, 4242, bytes(100)))
    assert decide(icmp_frame(answer[:28], kind)).slot == slot_of(CLIENT, 4242)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
@pytest.mark.parametrize("fragment", [b"", struct.pack("!BBHI", UDP, 0, 1, 7)])
def test_an_icmpv6_error_does_too(kind, fragment):
    answer = ipv6(
        VIP6,
        CLIENT6,
        UDP,
        udp(VIP6, 53, CLIENT6, 4242, bytes(100)),
        extensions=fragment,
        first=44 if fragment else None,
    )
    assert decide(icmp_frame(answer, kind, VIP6)).slot == slot_of(CLIENT6, 4242)


@pytest.mark.parametrize(
    "returned",
    [
        ip(VIP, CLIENT, UDP, udp(VIP, 5353, CLIENT, 4242, b"")),
        ip("192.0.2.54", CLIENT, UDP, udp("192.0.2.54", 53, CLIENT, 4242, b"")),
        ip(VIP, CLIENT, 47, bytes(8)),
    ],
    ids=["another port", "another address", "another protocol"],
)
def test_an_icmp_error_about_something_else_is_no_concern_of_ours(returned):
    frame = icmp_frame(returned)
    assert decide(frame) == Decision(Verdict.PASS, frame)


@pytest.mark.parametrize("spread", [Spread.PACKET, Spread.QNAME])
def test_an_icmp_error_without_an_owner_passes(spread):
    frame = icmp_frame(ip(VIP, CLIENT, UDP, udp(VIP, 53, CLIENT, 4242, b"")))
    no_owner = Decision(Verdict.PASS, frame, passed=Passed.NO_OWNER)
    assert decide(frame, forwarding(spread=spread)) == no_owner
    later = icmp_frame(ipv4(VIP, CLIENT, UDP, bytes(8), fragment=185))
    assert decide(later).passed is Passed.NO_OWNER


# --- flows -----------------------------------------------------------------------------------------------------------


def test_a_connection_stays_where_it_was_opened_until_that_server_is_gone():
    memory = Memory()
    assert decide(tcp_frame(SYN), forwarding(keep_flows=True, table=[2] * 251), memory).slot == 2
    drained = forwarding(keep_flows=True, table=[1] * 251)
    assert decide(tcp_frame(ACK), drained, memory).slot == 2
    assert decide(tcp_frame(FIN | ACK), drained, memory).slot == 2
    assert decide(tcp_frame(ACK, port=4243), drained, memory).slot == 1
    answer = ip(VIP, CLIENT, TCP, tcp(VIP, 53, CLIENT, 4242))
    assert decide(icmp_frame(answer), drained, memory).slot == 2
    gone = forwarding(keep_flows=True, table=[1] * 251, slots=(1, 3))
    assert decide(tcp_frame(ACK), gone, memory).slot == 1
    assert decide(tcp_frame(SYN), drained, memory).slot == 1
    assert decide(tcp_frame(ACK), drained, memory).slot == 1


def test_a_flow_is_kept_though_the_table_is_empty_now():
    memory = Memory()
    decide(tcp_frame(SYN), forwarding(keep_flows=True, table=[2] * 251), memory)
    assert decide(tcp_frame(ACK), forwarding(keep_flows=True, table=()), memory).slot == 2
    assert decide(tcp_frame(SYN), forwarding(keep_flows=True, table=()), memory).passed is Passed.EMPTY


def test_a_segment_that_ends_before_its_flags_is_malformed_where_they_matter():
    cut = ethernet(ipv4(CLIENT, VIP, TCP, tcp(CLIENT, 4242, VIP, 53)[:13]))
    assert decide(cut, forwarding(keep_flows=True)).passed is Passed.MALFORMED
    assert decide(cut).slot == slot_of(CLIENT, 4242)


def test_the_oldest_flows_are_forgotten_first():
    memory = Memory()
    for port in range(MAX_FLOWS + 1):
        memory.remember((b"", 53, b"", port), 1)
        memory.recall((b"", 53, b"", 0))
    assert memory.recall((b"", 53, b"", 0)) == 1
    assert memory.recall((b"", 53, b"", 1)) is None
    assert len(memory.flows) == MAX_FLOWS
