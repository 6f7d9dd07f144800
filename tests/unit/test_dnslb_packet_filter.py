"""The filters of the packet engine, run by the kernel (on a socket pair: no privilege needed), against decisions."""

import socket
from ipaddress import IPv6Address

import pytest

from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.packet_filter import LONGEST_PLAIN, NOTHING, Plain, attach, other_filter, plain_filter
from dnslb.decision import Decider, Memory, Verdict
from dnslb.forwarding import MAX_SERVICES, Passed, Protocol
from tests.dnslb_frames import frames
from tests.dnslb_packets import CLIENT_MAC, OWN_MAC, TCP, UDP, ethernet, ip, tcp, udp
from tests.dnslb_services import BY_PORT, FORWARDING, HELD, KEEPS_FLOWS, PEER_MAC

PLAINS = [Plain(each.address, each.port, each.protocols) for each in FORWARDING.services if each.address in HELD]


@pytest.fixture
def taken():
    """Whether a filter takes a frame, and how much of it: `taken(program, frame)`."""
    into, out = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    out.setblocking(False)
    attached = None

    def run(program: bytes, frame: bytes) -> int | None:
        nonlocal attached
        if program is not attached:
            attach(out, program)
            attached = program
        into.send(frame)
        try:
            return len(out.recv(1 << 17))
        except BlockingIOError:
            return None

    yield run
    into.close()
    out.close()


def untagged() -> list[bytes]:
    """The kernel takes the outer VLAN tag out of a frame before the filter sees it; here nobody does."""
    return [
        frame.data for frame in frames(5, 6000) if frame.data[12:14] not in (b"\x81\x00", b"\x88\xa8") and frame.data
    ]


def udp_frame(payload: bytes = b"", **how) -> bytes:
    return ethernet(ip("198.51.100.7", "192.0.2.53", UDP, udp("198.51.100.7", 4242, "192.0.2.53", 53, payload)), **how)


def test_nothing_is_nothing(taken):
    assert taken(NOTHING, udp_frame()) is None


def test_each_frame_that_is_decided_on_is_taken_by_one_queue_alone(taken):
    """Plain ones by the queue of their service, all others by the slow path."""
    decider = Decider(FORWARDING, HELD)
    other = other_filter(OWN_MAC, FORWARDING.peers, PLAINS, list(HELD))
    everything = untagged()
    takers: list[list[str]] = [[] for _ in everything]
    for name, program in [
        ("other", other),
        *((str(each), plain_filter(OWN_MAC, FORWARDING.peers, each)) for each in PLAINS),
    ]:
        for frame, by in zip(everything, takers, strict=True):
            if taken(program, frame) is not None:
                by.append(name)
    plain_ones = 0
    for frame, by in zip(everything, takers, strict=True):
        decision = decider.decide(frame, Memory())
        concerns_us = decision.verdict is not Verdict.PASS or decision.passed is not None
        assert len(by) == 1 if concerns_us else len(by) <= 1 and by in ([], ["other"]), (frame.hex(), by)
        if by and by != ["other"]:
            assert decision.passed in (None, Passed.EMPTY, Passed.LOCAL)
            plain_ones += 1
    assert plain_ones > 300


def test_what_is_plain_for_a_service(taken):
    program = plain_filter(OWN_MAC, FORWARDING.peers, Plain(BY_PORT[0].address, 53, frozenset({Protocol.UDP})))
    assert taken(program, udp_frame()) == 42
    assert taken(program, udp_frame(bytes(LONGEST_PLAIN - 42))) == LONGEST_PLAIN
    assert taken(program, udp_frame(bytes(LONGEST_PLAIN - 41))) is None
    assert taken(program, udp_frame(source=PEER_MAC)) is None
    assert taken(program, udp_frame(to=CLIENT_MAC)) is None
    segment = tcp("198.51.100.7", 4242, "192.0.2.53", 53)
    assert taken(program, ethernet(ip("198.51.100.7", "192.0.2.53", TCP, segment))) is None


def test_behind_a_tag_in_the_frame_the_slow_path_sees_the_address(taken):
    program = other_filter(OWN_MAC, (), PLAINS, list(HELD))
    for service in (*BY_PORT, *KEEPS_FLOWS):
        packet = ip("198.51.100.7" if service.address.version == 4 else "2001:db8::7", str(service.address), 89, b"")
        assert taken(program, ethernet(packet, tags=(0x88A8,))) is not None
        assert taken(program, ethernet(packet, tags=(0x88A8,), to=CLIENT_MAC)) is None
        assert taken(other_filter(OWN_MAC, (), PLAINS, []), ethernet(packet, tags=(0x8100,))) is None


def test_the_largest_configuration_fits_and_a_larger_one_is_refused():
    plains = [Plain(IPv6Address(at), 53, frozenset(Protocol)) for at in range(MAX_SERVICES)]
    peers = [at.to_bytes(6) for at in range(256)]
    other_filter(OWN_MAC, peers, plains, [plain.address for plain in plains])
    with pytest.raises(DataPlaneError, match="packet: too many services, or peers"):
        other_filter(OWN_MAC, [at.to_bytes(6) for at in range(1000)], plains, [])
